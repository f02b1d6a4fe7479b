"""What a template may read of another step's parameters."""

import pytest

from tests.e2e.definitions import after, chain, step
from tests.e2e.house import House

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_parameter_of_an_earlier_step_is_read_as_set_or_as_the_graph_has_it(house: House) -> None:
    handle = await house.start(
        chain(
            step("make", parameters={"1.color": 0x102030}),
            step(
                "again",
                parameters={
                    "1.color": "{{ make.parameters['1.color'] }}",
                    "1.width": "{{ make.parameters['1.width'] }}",
                },
            ),
            after("turn", "again"),
        )
    )
    await house.completed(handle)
    made, again = await house.run(handle, "make"), await house.run(handle, "again")
    assert made.parameters == {"1.color": 0x102030}
    assert made.workflow_definition is not None
    width = made.workflow_definition["1"]["inputs"]["width"]
    assert again.parameters == {"1.color": 0x102030, "1.width": width}
