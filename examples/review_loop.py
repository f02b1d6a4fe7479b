"""Review in a terminal, oldest question first: look at the downloaded file, then answer.

    python examples/review_loop.py FOLDER [CHAIN]

a approves, a line of text rejects for that reason and asks for another take, an empty line goes on.
"""

import sys
from pathlib import Path

from comfychain import Client, Conflict


def main(folder: Path, chain: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with Client() as client:
        for request in client.requests.list(chain=chain):
            for number, id in enumerate(request.artifact_ids):
                path = folder / f"{request.id}-{number}"
                if not path.exists():
                    client.artifacts.download(id, path)
                print(path)
            for note in client.notes.list(request.artifact_ids[0]):
                print(f"  {note.author}: {note.text}")
            answer = input(f"{request.chain_name} {request.step_id}, take {request.take}: ").strip()
            try:
                if answer == "a":
                    client.artifacts.approve(request)
                elif answer:
                    client.artifacts.reject(request, reason=answer, regenerate=True)
            except Conflict as conflict:
                print(f"too late: {conflict.message}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
