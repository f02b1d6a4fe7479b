"""Start a chain with a file of one's own: a parameter that is a Path is uploaded first.

    python examples/upload_an_input.py CHAIN INPUT FILE

INPUT is the chain's input that takes the file.
"""

import sys
from pathlib import Path

from comfychain import Client


def main(chain: str, name: str, file: Path) -> int:
    with Client() as client:
        run = client.chains.start(chain, parameters={name: file}, labels={"source": file.name})
        done = run.wait(timeout_seconds=3600)
        print(f"{run.id}: {done.status}", done.error_message or "")
    return 0 if done.status == "completed" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
