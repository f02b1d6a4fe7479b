"""Approve everything that waits for a person, once.

    python examples/approve_all.py [CHAIN]

Somebody else may decide meanwhile: then theirs counts, and is told.
"""

import asyncio
import sys

from comfychain import AsyncClient, Conflict


async def main(chain: str | None) -> None:
    async with AsyncClient() as client:
        async for request in client.requests.list(chain=chain):
            place = f"{request.chain_name} {request.step_id}, take {request.take}"
            try:
                await client.artifacts.approve(request, reason="approved by a script")
            except Conflict as conflict:
                print(f"{place}: {conflict.verdict or conflict.code} by {conflict.decided_by or 'somebody'}")
            else:
                print(f"{place}: approved")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
