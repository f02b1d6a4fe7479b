"""The requests recorded from a real ComfyUI 0.8.0, sent to the stand-in, and the answers compared.

Compared are the status, the headers that matter (content type, disposition and encoding, ranges, allowed
methods, security policy, presence of ETag and Last-Modified), the JSON's types and keys, and its values
where they are determined (not times, counters of a longer-lived server, texts of a library); downloaded
pictures by size, mode, text chunks and pixels; per WebSocket and prompt every message in order, and the
number of ``status`` messages. Where an answer depends on how far a run has come just then, only its type is.

Covered are 38 of the 44 scenarios, which are all that are listed in ``SCENARIOS``. Of the others

- 15b (uploads cut off and in parallel) was driven over raw sockets: ``test_uploads.py`` does the same;
- 18 (a file that grows or shrinks while it is read) is about another process writing:
  ``test_faults.py`` holds what its reader must survive;
- 23 (100 tries of a race) keeps three samples only: ``test_runs.py`` makes its own;
- 26 (prompts that kill the worker) has sockets that share a name, and a heap whose order is not determined:
  ``test_poison.py`` sends its prompts;
- 29 (the upload limit) keeps no bytes of its 100 MiB: ``test_uploads.py`` does it with a smaller limit;
- 31 is a table of measurements.

Two requests are left out: ``/internal/folder_paths`` in 00 lists the machine's model folders, and the
entries that earlier scenarios had left in the recorded server's history are ignored.
"""

from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from comfyui.standin import StandIn
from comfyui.standin.media import Audio, write_audio
from tests.standin.recording import RECORDINGS, Recording
from tests.standin.replay import Replay, seed_files

SCENARIOS = (
    "00_server_info",
    "01_ws_handshake",
    "02_empty_save",
    "03_load_invert_scale",
    "03b_input_file_changes",
    "04_batch4",
    "05_multi_output",
    "06_subfolder",
    "06b_prefix_escape",
    "06c_prefix_unicode",
    "07_video_save",
    "07b_video_webm",
    "07c_video_load",
    "08_animated",
    "09_audio",
    "09b_text",
    "09c_latent",
    "09d_mask_preview",
    "10_runtime_error",
    "10b_error_partial_outputs",
    "11_invalid_prompts",
    "12_cached_rerun",
    "13_interrupt_and_queue_delete",
    "14_two_clients",
    "15_upload",
    "16_upload_mask",
    "17_view",
    "19_client_prompt_id",
    "20_partial_execution_targets",
    "21_ws_binary_frames",
    "22_ws_same_clientid",
    "22b_ws_reconnect_mid_run",
    "24_history_ops",
    "25_filename_counter",
    "27_restart",
    "28_kill_mid_prompt",
    "28b_frozen_server",
    "30_chain_two_servers",
)


#: Named with their reasons above.
LEFT_OUT = (
    "15b_upload_abort",
    "18_view_while_writing",
    "23_success_vs_history_race",
    "26_poison_prompts",
    "29_upload_limit",
    "31_perf",
)


def _remove(folder: str, name: str) -> Callable[[StandIn], None]:
    return lambda standin: (standin.folders.base / folder / name).unlink()


def _touch(folder: str, *names: str) -> Callable[[StandIn], None]:
    def touch(standin: StandIn) -> None:
        for name in names:
            (standin.folders.base / folder / name).touch()

    return touch


def _leave_outputs(standin: StandIn) -> None:
    """What earlier scenarios had left in the output folder before 03b began."""
    video = Recording("07_video_save").exchanges[-1].answer()
    assert video is not None
    (standin.folders.output / "video").mkdir()
    (standin.folders.output / "video" / "f_clip_00001_.mp4").write_bytes(video)
    (standin.folders.output / "audio").mkdir()
    silence = Audio(bytes(4 * 4410), 44100, 2)
    write_audio(standin.folders.output / "audio" / "h_00002_.flac", silence, "flac", {})
    _touch("output", "l_slow_00002_.png")(standin)


def _leave_uploads(standin: StandIn) -> None:
    """What earlier scenarios had left in the input folder before 15 began."""
    (standin.folders.input / "clip.mp4").write_bytes(b"another film")
    (standin.folders.input / "adir.png").mkdir()


def _downloads_of(scenario: str) -> Callable[[StandIn], None]:
    return lambda standin: seed_files(Recording(scenario), standin)


def _leave_compressed_sibling(standin: StandIn) -> None:
    answers = (exchange.answer() for exchange in Recording("17_view").exchanges if exchange.is_compressed)
    (standin.folders.output / "v.png.gz").write_bytes(next(answers) or b"")


#: What stood on the recorded server before a scenario began.
BEFORE: dict[str, Callable[[StandIn], None]] = {
    "03b_input_file_changes": _leave_outputs,
    "07c_video_load": _downloads_of("07c_video_load"),
    "15_upload": _leave_uploads,
    "17_view": _downloads_of("17_view"),
}
#: What the recorder did to the files, before or after the request of this label.
BY_HAND: dict[tuple[str, str], Callable[[StandIn], None]] = {
    ("before", "run 5 (cached, file was deleted): history still names the missing file"): _remove(
        "output", "k_cache_00001_.png"
    ),
    ("before", "3, after the newest file was removed: the SAME NAME with other content"): _remove(
        "output", "ctr_00002_.png"
    ),
    ("before", "4, after a foreign ctr_00090_.png appeared"): _touch("output", "ctr_00090_.png"),
    (
        "before",
        "TRAP: aiohttp FileResponse serves a sibling v.png.gz as Content-Encoding gzip",
    ): _leave_compressed_sibling,
    ("after", "6 pending, then the file is removed"): _remove("input", "chg.png"),
}


def test_every_recording_is_replayed_or_left_out_for_a_reason() -> None:
    recorded = {path.stem for path in RECORDINGS.glob("*.json")} - {"index"}
    assert recorded == {*SCENARIOS, *LEFT_OUT}


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_standin_answers_a_recorded_scenario_as_comfyui_did(scenario: str, tmp_path: Path) -> None:
    recording = Recording(scenario)
    async with (
        StandIn(tmp_path / "8188") as first,
        StandIn(tmp_path / "8189") as second,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        standins = {8188: first, 8189: second} if recording.first_port == 8188 else {8189: second}
        if scenario in BEFORE:
            BEFORE[scenario](first)
        differences = await Replay(recording, standins, http, BY_HAND).run()
    assert not differences, "\n".join(differences)
