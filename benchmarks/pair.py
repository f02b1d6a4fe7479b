"""The bare pair that a waiting chain is compared with: a parent whose child waits for a signal."""

from typing import Any

from temporalio import workflow

PARENT = "BareParent"
CHILD = "BareChild"
TASK_QUEUE = "bare-pair"
GO = "go"
WAITS = "waits"


@workflow.defn(name=PARENT)
class BareParent:
    def __init__(self) -> None:
        self._told = False
        self._waits = False

    @workflow.run
    async def run(self) -> None:
        child: Any = await workflow.start_child_workflow(CHILD, id=f"{workflow.info().workflow_id}/child")
        self._waits = True
        await workflow.wait_condition(lambda: self._told)
        await child.signal(GO)
        await child

    @workflow.signal(name=GO)
    def go(self) -> None:
        self._told = True

    @workflow.query(name=WAITS)
    def waits(self) -> bool:
        return self._waits


@workflow.defn(name=CHILD)
class BareChild:
    def __init__(self) -> None:
        self._told = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._told)

    @workflow.signal(name=GO)
    def go(self) -> None:
        self._told = True
