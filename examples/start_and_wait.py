"""Start a chain, tell what happens, and download what it has made.

    python examples/start_and_wait.py CHAIN FOLDER [KEY=VALUE ...]

CHAIN is a file or a name. The API is the one that runs in ./data, or COMFYCHAIN_API_URL.
"""

import sys
from pathlib import Path

from comfychain import Client


def main(chain: str, folder: Path, parameters: dict[str, str]) -> int:
    with Client() as client:
        run = client.chains.start(chain, parameters=parameters)
        print(f"started {run.id}")
        for event in run.events():
            print(f"{event.at:%H:%M:%S}  {event.action}")
        done = run.wait()
        print(f"{done.name}: {done.status}", done.error_message or "")
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in client.artifacts.list(chain=run.id, latest=True):
            print(client.artifacts.download(artifact, folder / f"{artifact.step_id}-{artifact.filename}"))
    return 0 if done.status == "completed" else 1


if __name__ == "__main__":
    given = dict(pair.split("=", 1) for pair in sys.argv[3:])
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), given))
