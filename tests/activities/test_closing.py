"""What a closed chain answers: short enough for a history, whatever its steps made."""

from dataclasses import replace
from pathlib import Path

from activities.files import Files
from activities.settling import Settling
from contracts import ids
from contracts.activities import CloseChainInput
from db import steps
from db.session import Database
from storage.local import LocalStore
from tests.db.runs import NOW, files, open_chain, render

STORY = "once upon a time " * 2_000
OUTPUTS = {
    "story": "{{ a.output.text }}",
    "tale": "So: {{ a.output.text }}",
    "plan": "{{ inputs.plan }}",
    "size": "{{ inputs.size }}",
}


async def test_long_outputs_are_answered_by_their_artifact_or_shortened(
    sqlite_database: Database, tmp_path: Path
) -> None:
    chain = await open_chain(
        sqlite_database,
        "a",
        definition={"name": "x", "outputs": OUTPUTS},
        parameters={"plan": ["shot"] * 5_000, "size": {"width": 7}},
    )
    step_run_id = ids.step_run_id(chain.id, "a")
    [made] = files(slot="text")
    text = replace(made, file_type="text", extension="txt", text=STORY)
    await render(sqlite_database, step_run_id, made=[text])
    async with sqlite_database.write() as session:
        await steps.settle(session, step_run_id, status="completed", now=NOW)
    async with LocalStore(tmp_path / "artifacts") as store:
        settling = Settling(sqlite_database, Files(sqlite_database, store))
        closed = await settling.close_chain(CloseChainInput(chain_id=chain.id))
    assert (closed.status, closed.error) == ("completed", None)
    assert closed.outputs["story"]["artifact_id"] == text.artifact_id
    for name, whole in (("tale", f"So: {STORY}"), ("plan", '["shot","shot"')):
        assert closed.outputs[name][:14] == whole[:14]
        assert "shortened: " in closed.outputs[name][-60:]
    assert closed.outputs["size"] == {"width": 7}
    assert len(closed.model_dump_json()) < 20_000
