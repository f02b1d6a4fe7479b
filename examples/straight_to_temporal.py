"""Where no API runs: start a chain through Temporal, approve what it asks, and wait for its end.

    python examples/straight_to_temporal.py CHAIN STEP

STEP asks for approval. Temporal is the one that runs in ./data, or COMFYCHAIN_TEMPORAL_ADDRESS.
"""

import asyncio
import sys

from comfychain import AsyncTemporalClient


async def main(chain: str, step: str) -> None:
    async with await AsyncTemporalClient.connect() as temporal:
        id = await temporal.start(chain, started_by="a script")
        print(f"started {id}")
        while step not in (await temporal.status(id)).waiting_for_approval:
            await asyncio.sleep(0.2)
        answer = await temporal.decide(id, step, "approve", decided_by="a script")
        print(f"{step}: {answer.verdict} by {answer.decided_by}")
        result = await temporal.wait(id)
        print(f"{result.status}: {result.outputs}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
