"""Renditions beside real chains: they come by themselves, and a chain goes on without them."""

import pytest
from sqlalchemy import select

from activities.media import kinds
from db.models import Rendition
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import Handle, House, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def thumbnail(house: House, handle: Handle, step_id: str) -> Rendition | None:
    """The thumbnail of a step's only artifact."""
    (artifact,) = await house.artifacts(await house.run(handle, step_id))
    found = await house.rows(select(Rendition).where(Rendition.artifact_id == artifact.id))
    return found[0] if found else None


async def test_what_a_chain_makes_gets_its_thumbnails_by_itself(house: House) -> None:
    handle = await house.start(chain(step("make", "noise"), after("turn", "make"), step("say", "words")))
    await house.completed(handle)

    async def made() -> bool:
        rows = [await thumbnail(house, handle, step_id) for step_id in ("make", "turn")]
        return all(row is not None and row.state == "made" for row in rows)

    await until(made, "both pictures have thumbnails")
    (artifact,) = await house.artifacts(await house.run(handle, "make"))
    assert artifact.metadata_ is not None
    assert (artifact.metadata_["width"], artifact.metadata_["has_prompt"]) == (16, True)
    assert artifact.metadata_["node_class"] == "SaveImage"


async def test_a_chain_goes_on_when_every_rendition_fails(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def explode(*_arguments: object) -> kinds.Rendering:
        raise RuntimeError("a defect")

    monkeypatch.setattr(kinds, "render", explode)
    handle = await house.start(chain(step("make", "noise", approval=True), after("turn", "make")))
    await house.asked(handle, "make")

    async def tried() -> bool:
        row = await thumbnail(house, handle, "make")
        return row is not None and row.error == "RuntimeError"

    await until(tried, "a thumbnail was tried in vain")
    await handle.signal("approve", {"step": "make", "decided_by": "ada"})
    await house.completed(handle)
