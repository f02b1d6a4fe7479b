"""``python -m benchmarks [NAME …] [--quick] [--output FILE]``."""

import argparse
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from benchmarks import (
    api_lists,
    data_path,
    decision_latency,
    demo,
    listeners,
    orchestration,
    result,
    review_keys,
    thumbnails,
    waiting,
    width,
    writers,
)
from benchmarks.result import Result

#: Measures in the given empty folder.
Benchmark = Callable[..., Awaitable[list[Result]]]

BENCHMARKS: dict[str, Benchmark] = {
    "orchestration": orchestration.measure,
    "width": width.measure_width,
    "history": width.measure_history,
    "data_path": data_path.measure,
    "writers": writers.measure,
    "waiting": waiting.measure,
    "demo": demo.measure,
    "review_keys": review_keys.measure,
    "api_lists": api_lists.measure,
    "decision_latency": decision_latency.measure,
    "listeners": listeners.measure,
    "thumbnails": thumbnails.measure,
}

_RESULTS = Path(__file__).parent / "results.json"


async def run(names: list[str], *, quick: bool, output: Path | None) -> list[Result]:
    """Run the named benchmarks one after another, each in a folder of its own, and write what they found."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="comfychain-bench-") as folder:
        for name in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            own = Path(folder) / name
            own.mkdir()
            found = await BENCHMARKS[name](own, quick=quick)
            if output is not None:
                result.write(output, found, quick=quick)
            results += found
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure comfychain against its bars.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument(
        "--quick", action="store_true", help="small and few: shows that it runs, not how well"
    )
    parser.add_argument(
        "--output", type=Path, help=f"JSON file to write (default: {_RESULTS.name} here; with --quick none)"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    output = arguments.output or (None if arguments.quick else _RESULTS)
    results = uvloop.run(run(arguments.names or list(BENCHMARKS), quick=arguments.quick, output=output))
    print(result.table(results))
    for item in results:
        if item.note:
            print(f"{item.name}: {item.note}")


if __name__ == "__main__":
    main()
