"""The ancestor's shape: a chain whose steps are child workflows with eight regular activities each."""

from datetime import timedelta
from typing import Any

from temporalio import workflow

CHAIN = "AncestorChain"
STEP = "AncestorStep"
TASK_QUEUE = "ancestor"

#: In the order in which a step runs them; each is a method of ``benchmarks.work.Work``.
STEP_ACTIVITIES = (
    "resolve_inputs",
    "record_row",
    "choose_server",
    "upload",
    "submit",
    "wait",
    "download_and_store",
    "settle",
)

_LIMIT = timedelta(minutes=5)


@workflow.defn(name=CHAIN)
class AncestorChain:
    @workflow.run
    async def run(self, chain: dict[str, Any]) -> None:
        chain_id, *step_run_ids = await workflow.execute_activity(
            "open_chain", chain, result_type=list[str], start_to_close_timeout=_LIMIT
        )
        for step_run_id in step_run_ids:
            await workflow.execute_child_workflow(STEP, step_run_id, id=step_run_id)
        await workflow.execute_activity("close_chain", chain_id, start_to_close_timeout=_LIMIT)


@workflow.defn(name=STEP)
class AncestorStep:
    @workflow.run
    async def run(self, step_run_id: str) -> None:
        for name in STEP_ACTIVITIES:
            await workflow.execute_activity(name, step_run_id, start_to_close_timeout=_LIMIT)
