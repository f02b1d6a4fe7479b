"""A furnished house: chains in every state, with pictures, graphs, servers, notes and decisions."""

import hashlib
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from typing import Any
from uuid import uuid4

from PIL import Image, ImageDraw

from contracts import ids
from contracts.chain import Plan, PlannedStep
from contracts.decisions import DecisionInput
from db import artifacts, attempts, chains, decisions, documents, notes, servers, steps
from db.artifacts import Captured, CapturedFile
from db.attempts import Submission
from db.models import Chain
from db.session import Database
from storage.keys import artifact_key
from storage.store import Store

GRAPH: dict[str, Any] = {
    "2": {"class_type": "LoadImage", "inputs": {"image": "frame.png"}, "_meta": {"title": "Input"}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dunes-xl.safetensors"}},
    "6": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "dunes at dusk, long shadows, one low sun", "clip": ["4", 1]},
        "_meta": {"title": "Prompt"},
    },
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 815730,
            "steps": 24,
            "cfg": 6.5,
            "sampler_name": "euler",
            "denoise": 0.62,
            "tiled": False,
            "model": ["4", 0],
            "positive": ["6", 0],
        },
        "_meta": {"title": "Sampler"},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "edit"}},
}
OBJECT_INFO: dict[str, Any] = {
    "KSampler": {
        "input": {
            "required": {
                "seed": ["INT", {"min": 0, "max": 2**64 - 1}],
                "steps": ["INT", {"min": 1, "max": 150, "tooltip": "More steps take longer."}],
                "cfg": ["FLOAT", {"min": 0.0, "max": 30.0, "step": 0.1}],
                "sampler_name": [["euler", "euler_ancestral", "dpmpp_2m"], {}],
                "denoise": ["FLOAT", {"min": 0.0, "max": 1.0, "step": 0.01}],
                "tiled": ["BOOLEAN", {"default": False}],
            }
        }
    },
    "CLIPTextEncode": {"input": {"required": {"text": ["STRING", {"multiline": True}]}}},
}
EDITABLE = ["6.text", "3.steps", "3.cfg", "3.sampler_name", "3.tiled"]
ASK: dict[str, Any] = {
    "on_timeout": "hold",
    "on_rejected": "regenerate",
    "max_regenerations": 3,
    "seed": "new",
    "editable": EDITABLE,
}
_PLAN = Plan(
    name="portrait-to-poster",
    steps=[
        PlannedStep(id="sketch", level=0),
        PlannedStep(id="light", level=0),
        PlannedStep(id="edit", level=1, needs=["sketch", "light"]),
        PlannedStep(id="upscale", level=1, needs=["sketch"]),
        PlannedStep(id="depth", level=1, needs=["light"]),
        PlannedStep(id="poster", level=2, needs=["edit", "upscale"]),
        PlannedStep(id="film", level=2, needs=["edit", "depth"]),
    ],
)


@dataclass(frozen=True)
class Furnished:
    chain_id: str
    """Of seven steps: three made, one asking, one rendering, one failed, two not started."""
    asked_id: str
    """The artifact that the step ``edit`` asks about, its second take."""
    rejected_id: str
    """Its first take."""
    input_id: str
    """What it was made from."""
    request_id: str


@dataclass(frozen=True)
class Studio:
    database: Database
    store: Store
    now: datetime

    async def open_chain(self, plan: Plan, *, name: str, age: timedelta, **given: Any) -> Chain:
        async with self.database.write() as session:
            sha256 = await documents.put(session, "graph", GRAPH)
            return await chains.create(
                session,
                chain_id=str(uuid4()),
                temporal_workflow_id=f"{uuid4().hex[:8]}",
                temporal_run_id="run-1",
                name=name,
                definition={"name": name},
                plan=plan,
                settings={step.id: {"workflow": "soft-edit", "graph_sha256": sha256} for step in plan.steps},
                started_by="ada",
                now=self.now - age,
                **given,
            )

    async def render(
        self,
        chain_id: str,
        step_id: str,
        content: bytes,
        *,
        take: int = 1,
        server: str = "atelier",
        approval: dict[str, Any] | None = None,
        changes: dict[str, Any] | None = None,
        age: timedelta = timedelta(minutes=5),
        inputs: list[dict[str, Any]] | None = None,
        **file: Any,
    ) -> Captured:
        """One take of a step from its placing to its capture. ``changes`` are literals by ``node.input``."""
        run_id, at = ids.step_run_id(chain_id, step_id), self.now - age
        graph = _changed(changes or {})
        made = await self._stored(chain_id, step_id, content, **file)
        async with self.database.write() as session:
            await steps.start(session, run_id, take=take, now=at)
            attempt = await attempts.open_or_adopt(session, run_id, take, now=at)
            await attempts.place(
                session,
                attempt.id,
                attempt.token,
                server_name=server,
                server_url=f"http://{server}:8188",
                capacity=99,
                now=at,
            )
            await attempts.record_submission(
                session,
                attempt.id,
                attempt.token,
                Submission(
                    graph=graph,
                    parameters={"3.steps": graph["3"]["inputs"]["steps"]},
                    seeds={"3.seed": graph["3"]["inputs"]["seed"]},
                    inputs=inputs or [],
                    comfyui_version="0.8.0",
                    models=("dunes-xl.safetensors",),
                ),
                now=at - timedelta(seconds=41),
            )
            captured = await artifacts.capture(
                session,
                step_run_id=run_id,
                take=take,
                attempt_id=attempt.id,
                token=attempt.token,
                files=[made],
                approval=approval,
                due_at=at + timedelta(days=2) if approval else None,
                now=at,
            )
            if approval is None:
                await steps.settle(session, run_id, status="completed", now=at)
            await chains.touch_level(session, chain_id)
        return captured

    async def asks(self, name: str, step_id: str, content: bytes, age: timedelta, **file: Any) -> Captured:
        """A chain of one step whose take waits for a decision."""
        plan = Plan(name="single", steps=[PlannedStep(id=step_id, level=0)])
        labels = file.pop("labels", None)
        chain = await self.open_chain(plan, name=name, age=age, labels=labels)
        return await self.render(chain.id, step_id, content, approval=ASK, age=age, **file)

    async def decide(self, captured: Captured, verdict: str, reason: str = "", **given: Any) -> None:
        async with self.database.write() as session:
            answer = await decisions.decide(
                session,
                decision=DecisionInput.model_validate(
                    {"verdict": verdict, "artifact_id": captured.artifact_ids[0], "decided_by": "ada"}
                    | {"reason": reason, "request_id": captured.request_id}
                    | given
                ),
                source="api",
                now=self.now - timedelta(minutes=12),
            )
        assert answer.accepted, answer.message

    async def _stored(self, chain_id: str, step_id: str, content: bytes, **file: Any) -> CapturedFile:
        id, extension = str(uuid4()), file.get("extension", "png")
        key = artifact_key("default", "default", chain_id, step_id, id, extension)
        await self.store.put(key, content)
        made = CapturedFile(
            artifact_id=id,
            slot="image",
            position=0,
            is_primary=True,
            filename="edit_00001_.png",
            key=key,
            local_path=str(self.store.local_path(key)),
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            file_type="image",
            extension="png",
            media_type="image/png",
            node_id="9",
            metadata=_measured(content),
        )
        return replace(made, **file)


async def furnish(database: Database, store: Store) -> Furnished:
    """Fill an empty house."""
    studio = Studio(database, store, datetime.now(UTC))
    await _add_servers(studio)
    for index, (name, step_id, hours) in enumerate(
        (
            ("harbour-loop", "grade", 52),
            ("title-card", "lettering", 20),
            ("harbour-loop", "grade", 9),
            ("portrait-to-poster", "edit", 3),
            ("museum-tour", "relight", 2),
        )
    ):
        await studio.asks(
            name,
            step_id,
            scene(hue=index * 0.17, sun=0.3 + index * 0.1),
            timedelta(hours=hours),
            labels={"shot": f"sh{index + 1:03}0", "project": "tide"},
        )
    for name, hue, verdict, reason in (
        ("lighthouse", 0.5, "approve", ""),
        ("night-market", 0.8, "reject", "Too dark to see the stalls."),
        ("title-card", 0.2, "approve", "The second line reads well now."),
    ):
        taken_up = await studio.asks(name, "grade", scene(hue, 0.4), timedelta(hours=1))
        await studio.decide(taken_up, verdict, reason)
    chain = await studio.open_chain(
        _PLAN,
        name="portrait-to-poster",
        age=timedelta(minutes=30),
        description="A portrait in the colour of a look, edited, seen by a person, and scaled to a poster.",
        parameters={"look": "dusk"},
        labels={"project": "tide", "shot": "sh0120"},
    )
    sketch = await studio.render(chain.id, "sketch", scene(0.6, 0.5), age=timedelta(minutes=28))
    await studio.render(chain.id, "light", scene(0.62, 0.3), server="attic", age=timedelta(minutes=27))
    taken = [{"kind": "artifact", "id": sketch.artifact_ids[0], "file_type": "image"}]
    first = await studio.render(
        chain.id, "edit", scene(0.05, 0.35), approval=ASK, age=timedelta(minutes=20), inputs=taken
    )
    await studio.decide(
        first, "reject", "The sun stands too high; make the shadows longer.", parameters={"3.cfg": 7.5}
    )
    run_id = ids.step_run_id(chain.id, "edit")
    async with database.write() as session:
        await steps.next_take(session, run_id, 1)
    second = await studio.render(
        chain.id,
        "edit",
        scene(0.08, 0.62),
        take=2,
        approval=ASK,
        changes={"3.seed": 99120443, "3.cfg": 7.5},
        age=timedelta(minutes=6),
        inputs=taken,
    )
    await studio.render(chain.id, "upscale", scene(0.58, 0.5), age=timedelta(minutes=18))
    await _let_depth_render(studio, chain.id)
    await _add_notes(studio, chain.id, first.artifact_ids[0], second.artifact_ids[0])
    assert second.request_id is not None
    return Furnished(
        chain_id=chain.id,
        asked_id=second.artifact_ids[0],
        rejected_id=first.artifact_ids[0],
        input_id=sketch.artifact_ids[0],
        request_id=second.request_id,
    )


async def _add_servers(studio: Studio) -> None:
    async with studio.database.write() as session:
        sha256 = await documents.put(session, "object_info", OBJECT_INFO)
        for name, tags in (("atelier", ["xl", "film"]), ("attic", ["small"]), ("shed", [])):
            await servers.upsert(session, name=name, url=f"http://{name}:8188", tags=tags)
        for name, running in (("atelier", 1), ("attic", 0)):
            await servers.record_health(
                session,
                name,
                state="up",
                now=studio.now - timedelta(seconds=4),
                queue_running=running,
                queue_pending=running,
                version="0.8.0",
                devices=[{"name": "RTX 4090", "vram_total": 24 * 10**9, "vram_free": 9 * 10**9}],
                object_info_sha256=sha256,
            )
        await servers.record_health(
            session, "shed", state="down", now=studio.now, last_error="it refused the connection"
        )
        await servers.avoid(session, "shed", studio.now + timedelta(minutes=2), "it refused the connection")


async def _let_depth_render(studio: Studio, chain_id: str) -> None:
    run_id = ids.step_run_id(chain_id, "depth")
    async with studio.database.write() as session:
        await steps.start(session, run_id, take=1, now=studio.now)
        attempt = await attempts.open_or_adopt(session, run_id, 1, now=studio.now)
        await attempts.place(
            session,
            attempt.id,
            attempt.token,
            server_name="atelier",
            server_url="http://atelier:8188",
            capacity=99,
            now=studio.now,
        )
        await attempts.renew(
            session,
            attempt.id,
            attempt.token,
            now=studio.now,
            stage="running",
            progress={
                "state": "running",
                "percent": 62.0,
                "node_class": "KSampler",
                "step": 15,
                "steps": 24,
            },
        )
        await steps.set_phase(session, run_id, "rendering")
        await chains.touch_level(session, chain_id)


async def _add_notes(studio: Studio, chain_id: str, first_id: str, second_id: str) -> None:
    async with studio.database.write() as session:
        for artifact_id, text, x, y in (
            (first_id, "The ridge on the left is too sharp.", 0.22, 0.6),
            (second_id, "A little less red here.", 0.64, 0.3),
        ):
            artifact = await artifacts.get(session, artifact_id)
            assert artifact is not None
            await notes.add(
                session,
                artifact,
                chain_id=chain_id,
                author="ada",
                text=text,
                x=x,
                y=y,
                now=studio.now - timedelta(minutes=4),
            )


@cache
def scene(hue: float, sun: float, size: tuple[int, int] = (768, 512)) -> bytes:
    """A PNG of dunes under a sun: ``hue`` 0 to 1 is the light's colour, ``sun`` 0 to 1 how low it stands."""
    width, height = size
    image = Image.new("HSV", size)
    draw = ImageDraw.Draw(image)
    for y in range(height):
        share = y / height
        draw.line(
            (0, y, width, y),
            (int(255 * (hue + 0.1 * share)) % 256, int(190 - 90 * share), int(110 + 130 * share)),
        )
    x, y = width * 0.66, height * sun * 0.9
    draw.ellipse((x - 46, y - 46, x + 46, y + 46), (int(255 * hue + 22) % 256, 60, 250))
    for layer in range(4):
        base, color = height * (0.56 + 0.12 * layer), (int(255 * hue) % 256, 120, 150 - 38 * layer)
        ridge = [
            (at, base + 34 * math.sin(at / (70 + 24 * layer) + layer * 2 + sun * 5))
            for at in range(0, width + 8, 8)
        ]
        draw.polygon([*ridge, (width, height), (0, height)], color)
    made = BytesIO()
    image.convert("RGB").save(made, "PNG")
    return made.getvalue()


def _changed(changes: dict[str, Any]) -> dict[str, Any]:
    graph = {id: {**body, "inputs": dict(body["inputs"])} for id, body in GRAPH.items()}
    for address, value in changes.items():
        node, _, name = address.partition(".")
        graph[node]["inputs"][name] = value
    return graph


def _measured(content: bytes) -> dict[str, Any]:
    if not content.startswith(b"\x89PNG"):
        return {}
    with Image.open(BytesIO(content)) as image:
        return {"width": image.width, "height": image.height, "mode": image.mode}
