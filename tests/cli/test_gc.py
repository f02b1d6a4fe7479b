"""``gc``: what it shows, and what it takes."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts import ids
from db import chains, deletion
from db.session import Database
from storage.local import LocalStore
from tests.cli.commands import Data
from tests.db.runs import files, open_chain, render

BODY = b"the bytes of a picture"


async def _delete_a_chain(folder: Path) -> str:
    """A chain with one file, deleted two days ago; the file's path."""
    database = Database(f"sqlite+aiosqlite:///{folder}/comfychain.db")
    await database.migrate()
    chain = await open_chain(database, "a")
    (file,) = files()
    async with LocalStore(folder / "artifacts") as store:
        await store.put(file.key, BODY)
        path = store.local_path(file.key)
    await render(database, ids.step_run_id(chain.id, "a"), made=[file])
    async with database.write() as session:
        await chains.close(session, chain.id, status="completed")
    async with database.write() as session:
        await deletion.delete_chain(session, chain.id, actor="ada", now=datetime.now(UTC) - timedelta(days=2))
    await database.close()
    return str(path)


def test_gc_shows_what_would_go_and_then_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(asyncio.run(_delete_a_chain(tmp_path)))
    comfychain = Data(tmp_path)
    monkeypatch.setenv("COMFYCHAIN_DELETION_GRACE_SECONDS", str(3 * 24 * 3600))
    assert comfychain.good("gc", "--json").document == {"dry_run": False, "taken": 0, "artifacts": []}
    monkeypatch.delenv("COMFYCHAIN_DELETION_GRACE_SECONDS")
    shown = comfychain.good("gc", "--dry-run", "--json").document
    assert [item["filename"] for item in shown["artifacts"]] == ["ComfyUI_00001_.png"]
    assert path.read_bytes() == BODY
    assert "1 would go" in comfychain.good("gc", "--dry-run").err
    assert "1 of 1 gone" in comfychain.good("gc").err
    assert not path.exists()
    assert comfychain.good("gc", "--json").document["artifacts"] == []
