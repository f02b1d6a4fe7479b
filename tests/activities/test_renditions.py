"""Renditions: what is made of each kind of file, what is refused, and who makes it."""

import asyncio
import hashlib
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from PIL import Image
from sqlalchemy import select, update

from activities.bustle import Bustle
from activities.media import films, kinds
from activities.media.confined import Answer, Limits, run
from activities.media.probing import NOT_INSTALLED
from activities.renditions import Renditions
from contracts.failures import ComfychainError, FailureCategory
from contracts.media import extension_of, file_type_of
from db import renditions as rows
from db.models import ApprovalRequest, Artifact, OutputSetMember, Rendition, StepRun
from db.renditions import Wanted
from db.session import Database
from storage.keys import artifact_key
from storage.local import LocalStore
from tests.activities import samples


class Studio:
    """A store and a database with artifacts in them, and the duty that makes their renditions."""

    def __init__(self, database: Database, store: LocalStore, folder: Path) -> None:
        self.database, self.store, self.folder = database, store, folder
        self.duty = Renditions(database, store)

    async def run_of(self) -> str:
        run = str(uuid4())
        async with self.database.write() as session:
            session.add(
                StepRun(id=run, workflow_name="graph", status="completed", queued_at=datetime.now(UTC))
            )
        return run

    async def add(self, path: Path, *, run: str = "", position: int = 0, parent: str | None = None) -> str:
        """Record ``path`` as a captured artifact; its id."""
        run = run or await self.run_of()
        id, extension = str(uuid4()), extension_of(path.name)
        key = artifact_key("default", "default", run, "step", id, extension)
        info = await self.store.put(key, path)
        async with self.database.write() as session:
            session.add(
                Artifact(
                    id=id,
                    workflow_id=run,
                    filename=path.name,
                    local_filename=f"{id}.{extension}",
                    local_path=str(self.store.local_path(key)),
                    file_type=file_type_of(extension),
                    file_size=info.size_bytes,
                    sha256=info.sha256,
                    key=key,
                    metadata_={"node_class": "Save"},
                    is_latest=False,
                    slot="out",
                    position=position,
                    take=1,
                    parent_artifact_id=parent,
                )
            )
        return id

    async def add_set(self, paths: list[Path]) -> list[str]:
        """Record files as one output set of one slot."""
        run = await self.run_of()
        ids = [await self.add(path, run=run, position=place) for place, path in enumerate(paths)]
        async with self.database.write() as session:
            for place, id in enumerate(ids):
                session.add(
                    OutputSetMember(workflow_id=run, take=1, slot="out", position=place, artifact_id=id)
                )
        return ids

    async def work(self) -> None:
        """Find and make until nothing is left."""
        while await self.duty.find() or await self.duty.make():
            pass

    async def of(self, artifact_id: str) -> dict[str, Rendition]:
        async with self.database.read() as session:
            return {row.kind: row for row in await rows.of_artifact(session, artifact_id)}

    async def made(self, path: Path) -> tuple[dict[str, Rendition], dict[str, Any]]:
        """The renditions and the metadata of a file, once everything is made."""
        id = await self.add(path)
        await self.work()
        return await self.of(id), await self.metadata(id)

    async def metadata(self, artifact_id: str) -> dict[str, Any]:
        async with self.database.read() as session:
            artifact = await session.get(Artifact, artifact_id)
        assert artifact is not None
        return artifact.metadata_ or {}

    def shown(self, row: Rendition) -> Image.Image:
        assert row.key is not None, row.error
        path = self.store.local_path(row.key)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
        assert path.stat().st_size == row.size_bytes
        image = Image.open(path)
        image.load()
        assert image.size == (row.width, row.height)
        return image

    async def expire(self) -> None:
        """Let every lease end, and every pause before another try."""
        async with self.database.write() as session:
            await session.execute(
                update(Rendition).values(next_try_at=datetime.now(UTC) - timedelta(seconds=1))
            )


@pytest.fixture
async def studio(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Studio]:
    async with LocalStore(tmp_path / "artifacts") as store:
        yield Studio(sqlite_database, store, tmp_path)


def close(found: tuple[int, ...], wanted: tuple[int, ...], most: int = 12) -> bool:
    return all(abs(one - other) <= most for one, other in zip(found, wanted, strict=True))


# Pictures.


async def test_a_picture_gets_a_small_one_of_the_same_shape_and_its_measures(studio: Studio) -> None:
    original = samples.picture(studio.folder / "a.png", size=(2000, 1000))
    made, known = await studio.made(original)
    assert set(made) == {"thumbnail"}
    row = made["thumbnail"]
    image = studio.shown(row)
    assert (row.state, row.media_type, image.format, image.size) == ("made", "image/webp", "WEBP", (512, 256))
    assert close(image.convert("RGB").getpixel((20, 20)), (255, 0, 0))  # type: ignore[arg-type]
    assert known["node_class"] == "Save"
    measures = {name: known[name] for name in ("width", "height", "codec", "bit_depth", "has_alpha")}
    assert measures == {"width": 2000, "height": 1000, "codec": "png", "bit_depth": 8, "has_alpha": False}


async def test_the_original_is_never_touched(studio: Studio) -> None:
    id = await studio.add(samples.deep_colour(studio.folder / "a.png"))
    async with studio.database.read() as session:
        artifact = await session.get(Artifact, id)
    assert artifact is not None
    await studio.work()
    bytes_now = Path(artifact.local_path).read_bytes()
    assert hashlib.sha256(bytes_now).hexdigest() == artifact.sha256


async def test_a_small_picture_is_not_blown_up(studio: Studio) -> None:
    made, _ = await studio.made(samples.picture(studio.folder / "a.png", size=(40, 20)))
    assert studio.shown(made["thumbnail"]).size == (40, 20)


async def test_transparency_stays_transparent(studio: Studio) -> None:
    made, known = await studio.made(samples.picture(studio.folder / "a.png", mode="RGBA"))
    image = studio.shown(made["thumbnail"])
    assert image.mode == "RGBA"
    width, height = image.size
    assert [image.getpixel((x, height // 2))[3] for x in (5, width - 5)] == [255, 0]  # type: ignore[index]
    assert known["has_alpha"] is True


@pytest.mark.parametrize("name", ["grey.png", "grey.tif"])
async def test_16_bits_of_grey_keep_their_tones(studio: Studio, name: str) -> None:
    made, known = await studio.made(samples.deep_grey(studio.folder / name))
    assert known["bit_depth"] == 16
    assert made["proxy"].state == "made"
    for kind in ("thumbnail", "proxy"):
        image = studio.shown(made[kind]).convert("L")
        tones = [image.getpixel((x, 30)) for x in (2, 128, 253)]
        assert close(tuple(tones), (2, 128, 253))  # type: ignore[arg-type]


async def test_16_bits_of_colour_get_a_proxy_with_their_colours_and_alpha(studio: Studio) -> None:
    made, known = await studio.made(samples.deep_colour(studio.folder / "deep.png"))
    assert (known["bit_depth"], known["has_alpha"]) == (16, True)
    assert close(studio.shown(made["proxy"]).getpixel((9, 9)), (255, 128, 0, 128))  # type: ignore[arg-type]


async def test_what_comfyui_wrote_beside_the_pixels_is_noticed(studio: Studio) -> None:
    _, known = await studio.made(samples.with_prompt(studio.folder / "a.png"))
    assert known["has_prompt"] is True


async def test_a_colour_profile_is_named_and_obeyed(studio: Studio) -> None:
    made, known = await studio.made(samples.with_profile(studio.folder / "a.png"))
    assert "sRGB" in known["colour"]
    assert close(studio.shown(made["thumbnail"]).getpixel((9, 9)), (200, 30, 30))  # type: ignore[arg-type]


async def test_a_picture_turned_by_its_camera_stands_upright(studio: Studio) -> None:
    path = studio.folder / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 100)).save(path, exif=exif)
    made, known = await studio.made(path)
    assert studio.shown(made["thumbnail"]).size == (100, 300)
    assert (known["width"], known["height"]) == (100, 300)


async def test_an_openexr_picture_gets_a_tone_mapped_proxy(studio: Studio) -> None:
    path = samples.ffmpeg(
        studio.folder / "a.exr",
        *("-f", "lavfi", "-i", "color=gray:s=64x32", "-frames:v", "1", "-pix_fmt", "gbrapf32le"),
    )
    made, known = await studio.made(path)
    assert (known["codec"], known["bit_depth"], known["width"]) == ("exr", 32, 64)
    lightness = studio.shown(made["proxy"]).convert("L").getpixel((9, 9))
    assert isinstance(lightness, int)
    # Half of scene-linear light is a bright grey on a screen.
    assert 165 <= lightness <= 205


# What is refused.


async def test_a_bomb_is_refused_before_it_is_unpacked(studio: Studio) -> None:
    made, _ = await studio.made(samples.bomb(studio.folder / "bomb.png"))
    assert made["thumbnail"].state == "impossible"
    assert "million pixels" in (made["thumbnail"].error or "")


async def test_a_truncated_picture_is_impossible_and_says_so(studio: Studio) -> None:
    whole = samples.picture(studio.folder / "whole.png").read_bytes()
    path = studio.folder / "cut.png"
    path.write_bytes(whole[: len(whole) // 2])
    made, _ = await studio.made(path)
    assert made["thumbnail"].state == "impossible"
    assert "cannot be read to its end" in (made["thumbnail"].error or "")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "never drawn"),
        ("page.html", "<!doctype html><script>alert(1)</script>", "has no picture"),
        ("a.png", "<svg xmlns='http://www.w3.org/2000/svg'/>", "none of PNG"),
        ("a.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of PNG"),
        ("a.latent", "numbers", "has no picture"),
    ],
)
async def test_what_a_browser_could_run_is_never_drawn(
    studio: Studio, name: str, text: str, reason: str
) -> None:
    path = studio.folder / name
    path.write_text(text)
    made, _ = await studio.made(path)
    assert {kind: row.state for kind, row in made.items()} == {"thumbnail": "impossible"}
    assert reason in (made["thumbnail"].error or "")
    assert made["thumbnail"].key is None


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '/etc/passwd'\n",
        "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n",
    ],
)
async def test_a_film_that_names_other_files_is_refused(studio: Studio, playlist: str) -> None:
    samples.require_ffmpeg()
    path = studio.folder / "a.mp4"
    path.write_text(playlist)
    made, _ = await studio.made(path)
    assert made["thumbnail"].state == "impossible"
    assert str(studio.folder) not in (made["thumbnail"].error or "")


async def test_the_beginning_of_a_text_is_kept_as_text(studio: Studio) -> None:
    path = studio.folder / "a.csv"
    path.write_text("<b>name</b>,value\n" * 1000)
    made, known = await studio.made(path)
    assert made["thumbnail"].state == "impossible"
    assert known["snippet"].startswith("<b>name</b>,value\n")
    assert len(known["snippet"]) == 2000


# Films and sounds.


async def test_a_film_gets_a_still_and_a_strip_and_is_played_as_it_is(studio: Studio) -> None:
    path = samples.film(studio.folder / "a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac")
    made, known = await studio.made(path)
    assert {kind: row.state for kind, row in made.items()} == {"thumbnail": "made", "filmstrip": "made"}
    assert studio.shown(made["thumbnail"]).size == (160, 90)
    assert studio.shown(made["filmstrip"]).size == (160 * films.STRIP_FRAMES, films.STRIP_HEIGHT)
    wanted = {"width": 160, "height": 90, "codec": "h264", "fps": 12.0, "frame_count": 12, "has_audio": True}
    assert {name: known[name] for name in wanted} == wanted
    assert known["duration_seconds"] == pytest.approx(1.0, abs=0.1)
    assert "unplayable" not in known


@pytest.mark.parametrize(
    "tags",
    [
        ("-movflags", "use_metadata_tags", "-metadata", 'prompt={"1": {"class_type": "KSampler"}}'),
        ("-metadata", r'comment={"prompt": "{\"1\": {\"class_type\": \"KSampler\"}}"}'),
    ],
)
async def test_a_prompt_inside_a_film_is_noticed(studio: Studio, tags: tuple[str, ...]) -> None:
    path = samples.silent_film(studio.folder / "a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", *tags)
    _, known = await studio.made(path)
    assert known["has_prompt"] is True


async def test_a_webm_of_vp9_is_played_as_it_is(studio: Studio) -> None:
    path = samples.silent_film(studio.folder / "a.webm", "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p")
    made, known = await studio.made(path)
    assert set(made) == {"thumbnail", "filmstrip"}
    assert (known["codec"], known["frame_count"], known["has_audio"]) == ("vp9", 12, False)


@pytest.mark.parametrize(
    ("name", "codec", "reason"),
    [
        ("a.mov", ("-c:v", "prores_ks", "-c:a", "pcm_s16le"), "browsers are not given mov"),
        ("a.mp4", ("-c:v", "mpeg4", "-c:a", "aac"), "mpeg4 in yuv420p"),
        ("a.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv444p10le", "-c:a", "aac"), "h264 in yuv444p10le"),
        ("a.mkv", ("-c:v", "ffv1", "-c:a", "flac"), "browsers are not given matroska"),
    ],
)
async def test_what_a_browser_cannot_play_gets_a_film_that_it_can(
    studio: Studio, name: str, codec: tuple[str, ...], reason: str
) -> None:
    made, known = await studio.made(samples.film(studio.folder / name, *codec, size="161x91"))
    assert reason in known["unplayable"]
    proxy = made["proxy"]
    assert (proxy.state, proxy.media_type) == ("made", "video/mp4"), proxy.error
    assert proxy.key is not None
    again, shown = await studio.made(studio.store.local_path(proxy.key))
    assert "proxy" not in again
    assert (shown["codec"], shown["pixel_format"], shown["audio_codec"]) == ("h264", "yuv420p", "aac")
    assert (proxy.width, proxy.height) == (160, 90)
    assert shown["frame_count"] == known["frame_count"]


async def test_a_film_of_one_frame_still_has_a_whole_strip(studio: Studio) -> None:
    path = samples.silent_film(
        studio.folder / "a.mp4",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        source="testsrc2=s=160x90:r=12:d=0.08",
    )
    made, _ = await studio.made(path)
    assert studio.shown(made["filmstrip"]).size == (160 * films.STRIP_FRAMES, films.STRIP_HEIGHT)


async def test_a_truncated_film_is_impossible_and_says_so(studio: Studio) -> None:
    whole = samples.film(studio.folder / "w.mp4", "-c:v", "libx264", "-c:a", "aac").read_bytes()
    path = studio.folder / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    made, _ = await studio.made(path)
    assert made["thumbnail"].state == "impossible"
    assert "ffprobe cannot read it" in (made["thumbnail"].error or "")


async def test_a_sound_gets_a_waveform(studio: Studio) -> None:
    path = samples.ffmpeg(studio.folder / "a.wav", "-f", "lavfi", "-i", "sine=d=2")
    made, known = await studio.made(path)
    assert {kind: row.media_type for kind, row in made.items()} == {"waveform": "image/png"}
    image = studio.shown(made["waveform"])
    assert image.size == films.WAVEFORM_SIZE
    assert image.convert("RGBA").getchannel("A").getextrema() == (0, 255)
    assert (known["codec"], known["duration_seconds"]) == ("pcm_s16le", 2.0)


async def test_a_sequence_of_pictures_plays_as_a_film(studio: Studio) -> None:
    samples.require_ffmpeg()
    paths = [samples.picture(studio.folder / f"{n}.png", size=(101, 51)) for n in range(10)]
    ids = await studio.add_set(paths)
    await studio.work()
    made = [await studio.of(id) for id in ids]
    assert [set(one) for one in made] == [{"thumbnail", "proxy"}] + [{"thumbnail"}] * 9
    proxy = made[0]["proxy"]
    assert (proxy.state, proxy.media_type, proxy.width, proxy.height) == ("made", "video/mp4", 100, 50)
    assert proxy.key is not None
    _, shown = await studio.made(studio.store.local_path(proxy.key))
    assert shown["frame_count"] == 10


async def test_a_few_variants_are_no_sequence(studio: Studio) -> None:
    ids = await studio.add_set([samples.picture(studio.folder / f"{n}.png") for n in range(4)])
    await studio.work()
    assert set(await studio.of(ids[0])) == {"thumbnail"}


async def test_an_edited_frame_makes_the_film_anew(studio: Studio) -> None:
    samples.require_ffmpeg()
    ids = await studio.add_set([samples.picture(studio.folder / f"{n}.png") for n in range(8)])
    await studio.work()
    before = (await studio.of(ids[0]))["proxy"]
    async with studio.database.read() as session:
        old = await session.get(Artifact, ids[3])
    assert old is not None
    changed = Image.new("RGB", (640, 320), (0, 255, 0))
    changed.save(studio.folder / "edit.png")
    edit = await studio.add(studio.folder / "edit.png", run=old.workflow_id, position=3, parent=old.id)
    async with studio.database.write() as session:
        await session.execute(
            update(OutputSetMember).where(OutputSetMember.artifact_id == old.id).values(artifact_id=edit)
        )
    await studio.work()
    after = (await studio.of(ids[0]))["proxy"]
    assert (after.state, after.key) == ("made", before.key)
    assert after.sha256 != before.sha256


# Without ffmpeg.


async def test_without_ffmpeg_pictures_work_and_films_wait_for_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = samples.film(studio.folder / "a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda _name: None)
        made, _ = await studio.made(path)
        assert (made["thumbnail"].state, made["thumbnail"].error) == ("impossible", NOT_INSTALLED)
        pictures, _ = await studio.made(samples.picture(studio.folder / "a.png"))
        assert pictures["thumbnail"].state == "made"
    studio.duty = Renditions(studio.database, studio.store)
    await studio.work()
    async with studio.database.read() as session:
        states = set(await session.scalars(select(Rendition.state)))
    assert states == {"made"}


# A store elsewhere.


class Elsewhere(LocalStore):
    """A store that has objects, but no files for others to open."""

    def local_path(self, key: str) -> Path:
        if sys._getframe(1).f_globals["__name__"].startswith("storage."):
            return super().local_path(key)
        return None  # type: ignore[return-value]


async def test_a_store_without_files_is_read_through_copies(
    sqlite_database: Database, tmp_path: Path
) -> None:
    samples.require_ffmpeg()
    async with LocalStore(tmp_path / "artifacts") as store:
        studio = Studio(sqlite_database, store, tmp_path)
        ids = await studio.add_set([samples.picture(tmp_path / f"{n}.png") for n in range(8)])
        async with Elsewhere(tmp_path / "artifacts") as elsewhere:
            studio.duty = Renditions(sqlite_database, elsewhere)
            await studio.work()
        made = await studio.of(ids[0])
        assert {kind: row.state for kind, row in made.items()} == {"thumbnail": "made", "proxy": "made"}
        assert studio.shown(made["thumbnail"]).size == (512, 256)


# Whose work it is.


async def wanted_by(studio: Studio, now: datetime) -> list[Wanted]:
    async with studio.database.write() as session:
        return await rows.begin(session, kinds.QUICK, now, limit=10)


async def test_several_workers_make_each_rendition_once(studio: Studio) -> None:
    ids = [await studio.add(samples.picture(studio.folder / f"{n}.png")) for n in range(6)]
    others = [Renditions(studio.database, studio.store) for _ in range(3)]
    await asyncio.gather(*(duty.find() for duty in others))
    while sum(await asyncio.gather(*(duty.make() for duty in others))):
        pass
    made = [(await studio.of(id))["thumbnail"] for id in ids]
    assert [(row.state, row.tries) for row in made] == [("made", 1)] * 6


async def test_a_dead_workers_rendition_is_taken_over_and_what_it_says_later_counts_nothing(
    studio: Studio,
) -> None:
    id = await studio.add(samples.picture(studio.folder / "a.png"))
    await studio.duty.find()
    (lost,) = await wanted_by(studio, datetime.now(UTC))
    assert await wanted_by(studio, datetime.now(UTC)) == []
    await studio.expire()
    await studio.work()
    async with studio.database.write() as session:
        assert not await rows.impossible(session, lost, "too late")
        assert not await rows.renew(session, lost, datetime.now(UTC))
    assert (await studio.of(id))["thumbnail"].state == "made"


async def test_what_kills_its_maker_every_time_is_given_up(studio: Studio) -> None:
    id = await studio.add(samples.picture(studio.folder / "a.png"))
    await studio.duty.find()
    for _ in range(rows.MAX_TRIES):
        assert len(await wanted_by(studio, datetime.now(UTC))) == 1
        await studio.expire()
    assert await wanted_by(studio, datetime.now(UTC)) == []
    row = (await studio.of(id))["thumbnail"]
    assert (row.state, row.error) == ("failed", "it was begun 3 times and never ended")


async def test_what_fails_is_tried_again_and_not_for_ever(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_arguments: object) -> kinds.Rendering:
        raise ComfychainError(FailureCategory.TIMEOUT, "it took too long")

    monkeypatch.setattr(kinds, "render", refuse)
    id = await studio.add(samples.picture(studio.folder / "a.png"))
    for tries in range(1, rows.MAX_TRIES + 1):
        await studio.work()
        row = (await studio.of(id))["thumbnail"]
        assert (row.tries, row.error) == (tries, "it took too long")
        await studio.expire()
    assert row.state == "failed"


async def test_a_worker_that_ends_gives_its_work_back(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def hang(*_arguments: object) -> kinds.Rendering:
        begun.set()
        return await asyncio.Event().wait() and kinds.Rendering()  # type: ignore[return-value]

    id = await studio.add(samples.picture(studio.folder / "a.png"))
    with monkeypatch.context() as patch:
        patch.setattr(kinds, "render", hang)
        running = asyncio.create_task(studio.duty.run())
        await begun.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await studio.work()
    row = (await studio.of(id))["thumbnail"]
    assert (row.state, row.tries) == ("made", 1)


async def test_a_defect_does_not_end_the_duty_and_with_it_the_worker(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: asyncio.Queue[None] = asyncio.Queue()

    async def explode(_self: Renditions) -> int:
        looks.put_nowait(None)
        raise RuntimeError("a defect")

    monkeypatch.setattr(Renditions, "find", explode)
    running = asyncio.create_task(studio.duty.run())
    for _ in range(2):
        await asyncio.wait_for(looks.get(), 30)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_artifact_whose_bytes_are_gone_does_not_stop_the_others(studio: Studio) -> None:
    lost = await studio.add(samples.picture(studio.folder / "a.png"))
    whole = await studio.add(samples.picture(studio.folder / "b.png"))
    async with studio.database.read() as session:
        artifact = await session.get(Artifact, lost)
    assert artifact is not None
    assert artifact.key is not None
    await studio.store.delete(artifact.key)
    await studio.work()
    gone = (await studio.of(lost))["thumbnail"]
    assert (gone.state, gone.error) == ("impossible", "the artifact's bytes are gone")
    assert (await studio.of(whole))["thumbnail"].state == "made"


async def test_what_is_deleted_is_not_worked_on(studio: Studio) -> None:
    id = await studio.add(samples.picture(studio.folder / "a.png"))
    await studio.duty.find()
    later = await studio.add(samples.picture(studio.folder / "b.png"))
    async with studio.database.write() as session:
        await session.execute(update(Artifact).values(deleted_at=datetime.now(UTC)))
    await studio.work()
    assert (await studio.of(id))["thumbnail"].error == "the artifact is deleted"
    assert await studio.of(later) == {}


async def test_artifacts_older_than_the_worker_are_found_too(studio: Studio) -> None:
    id = await studio.add(samples.picture(studio.folder / "a.png"))
    async with studio.database.write() as session:
        await session.execute(update(Artifact).values(created_at=datetime.now(UTC) - timedelta(days=400)))
    await studio.work()
    assert (await studio.of(id))["thumbnail"].state == "made"


async def test_nothing_is_left_behind_by_the_making(studio: Studio) -> None:
    await studio.made(samples.picture(studio.folder / "a.png"))
    await studio.made(samples.bomb(studio.folder / "bomb.png"))
    scratch = studio.store.scratch().parent
    assert [path.name for path in scratch.iterdir()] == ["owner.lock"]


# The limits.

TIGHT = Limits(cpu_seconds=1, seconds=60.0, memory_bytes=256 << 20, file_bytes=1 << 20)


async def python(code: str, folder: Path, limits: Limits = TIGHT) -> Answer:
    return await run((sys.executable, "-I", "-S", "-c", code), folder, limits)


async def test_what_runs_without_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ComfychainError, match="more than 1 s of processor time"):
        await python("while True: pass", tmp_path)


async def test_what_would_fill_the_disk_is_ended(tmp_path: Path) -> None:
    copier = shutil.which("dd")
    assert copier is not None
    with pytest.raises(ComfychainError, match="dd wrote more than 1 MiB"):
        await run((copier, "if=/dev/zero", "of=large", "bs=1M", "count=4"), tmp_path, TIGHT)
    assert (tmp_path / "large").stat().st_size <= TIGHT.file_bytes


async def test_what_takes_too_much_memory_does_not_get_it(tmp_path: Path) -> None:
    answer = await python("bytearray(1 << 30)", tmp_path)
    assert answer.code != 0
    assert "MemoryError" in answer.err


async def test_what_waits_for_ever_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    patient = Limits(cpu_seconds=60, seconds=1.0, memory_bytes=1 << 30, file_bytes=1 << 20)
    code = (
        "import os, time; child = os.fork(); open('child', 'w').write(str(child)) if child else None; "
        "time.sleep(600)"
    )
    with pytest.raises(ComfychainError, match="was not done after 1 s"):
        await python(code, tmp_path, patient)
    child = int((tmp_path / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


async def test_a_confined_program_knows_nothing_of_our_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFYUI_TOKEN", "secret")
    answer = await python("import os; print(sorted(os.environ))", tmp_path)
    assert b"TOKEN" not in answer.out


async def test_beside_short_steps_only_what_people_are_asked_about_is_made(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bustle, "calm_seconds", 0.0)
    asked_run = await studio.run_of()
    asked = await studio.add(samples.picture(studio.folder / "asked.png"), run=asked_run)
    other = await studio.add(samples.picture(studio.folder / "other.png"))
    async with studio.database.write() as session:
        session.add(
            ApprovalRequest(
                id=str(uuid4()), workflow_id=asked_run, take=1, state="pending", set_sha256="x", policy={}
            )
        )
    await studio.work()
    assert {row.state for row in (await studio.of(asked)).values()} == {"made"}
    assert {row.state for row in (await studio.of(other)).values()} == {"pending"}
    async with studio.database.write() as session:
        waited_for_long = datetime.now(UTC) - rows.PATIENCE
        await session.execute(update(Rendition).values(next_try_at=waited_for_long))
    await studio.work()
    assert {row.state for row in (await studio.of(other)).values()} == {"made"}
