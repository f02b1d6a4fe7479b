"""The parsers against what a real ComfyUI said."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyui.errors import execution_failure, is_out_of_memory, submission_refusal
from comfyui.events import Event, parse_event
from comfyui.history import HistoryEntry, parse_history_entry
from comfyui.outputs import outputs_of
from comfyui.queue import parse_queue
from contracts.failures import ComfychainError, FailureCategory
from contracts.media import display_name, extension_of, file_type_of
from tests.comfyui.recordings import exchanges, histories, recording


def test_the_queue_is_read_in_the_order_of_execution_though_it_comes_as_a_heap() -> None:
    snapshot = parse_queue(
        {"queue_running": [[4, "r"]], "queue_pending": [[7, "b"], [9, "c"], [-3, "front"], [5, "a"]]}
    )
    assert snapshot.pending == ["front", "a", "b", "c"]
    assert [snapshot.position(name) for name in ("r", "front", "c", "x")] == [0, 1, 4, None]


def test_recorded_queues_name_every_prompt_that_they_hold() -> None:
    seen = [
        (parse_queue(response["json"]), response["json"])
        for request, response in exchanges("13_interrupt_and_queue_delete")
        if request["path"] == "/queue" and request["method"] == "GET"
    ]
    assert any(len(snapshot.pending) == 2 for snapshot, _ in seen)
    for snapshot, body in seen:
        assert snapshot.running == [item[1] for item in body["queue_running"]]
        assert sorted(snapshot.pending) == sorted(item[1] for item in body["queue_pending"])


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("02_empty_save", ["image"]),
        ("04_batch4", ["image"] * 4),
        ("05_multi_output", ["image"] * 2),
        ("07_video_save", ["video"]),
        ("07b_video_webm", ["video"]),
        ("09c_latent", ["latent"]),
    ],
)
def test_every_kind_of_output_is_found_under_whatever_key(name: str, kinds: list[str]) -> None:
    assert kinds in [[item.file_type for item in outputs_of(entry)] for entry in histories(name)]


def test_audio_and_text_are_outputs_and_flags_are_not() -> None:
    audio = {item.file_type for entry in histories("09_audio") for item in outputs_of(entry)}
    texts = [item.text for entry in histories("09b_text") for item in outputs_of(entry) if item.text]
    animated = [item for entry in histories("08_animated") for item in outputs_of(entry)]
    assert "audio" in audio
    assert texts
    assert animated
    assert all(item.filename and item.key == "images" for item in animated)


def test_temporary_files_are_left_out_unless_asked_for() -> None:
    entry = next(entry for entry in histories("05_multi_output") if entry.outputs)
    assert {item.folder_type for item in outputs_of(entry)} == {"output"}
    assert {item.folder_type for item in outputs_of(entry, include_temp=True)} == {"output", "temp"}


@pytest.mark.parametrize(
    "file",
    [
        {"filename": "../x.png", "subfolder": ""},
        {"filename": "/etc/passwd", "subfolder": ""},
        {"filename": "..", "subfolder": ""},
        {"filename": "a\\b.png", "subfolder": ""},
        {"filename": "x.png", "subfolder": "a/../../b"},
        {"filename": "x.png", "subfolder": "..\\b"},
        {"filename": "x.png", "subfolder": "/abs"},
        {"filename": "x.png", "subfolder": "C:\\Windows"},
        {"filename": "x\0.png", "subfolder": ""},
        {"filename": "x" * 300, "subfolder": ""},
        {"filename": "x.png", "subfolder": ["a"]},
    ],
)
def test_a_file_name_that_leads_out_of_the_folder_is_refused(file: dict[str, object]) -> None:
    entry = HistoryEntry("p", "success", outputs={"1": {"images": [{**file, "type": "output"}]}})
    with pytest.raises(ComfychainError) as caught:
        outputs_of(entry)
    assert caught.value.category is FailureCategory.CORRUPT


@given(st.text(max_size=400))
def test_a_display_name_is_never_a_path_and_always_fits(name: str) -> None:
    shown = display_name(name)
    assert shown
    assert len(shown.encode()) <= 255
    assert not set(shown) & set("/\\\0\n\r\u202e\u200f\u2066")
    assert shown not in (".", "..")


def test_extensions_come_from_our_own_table() -> None:
    assert extension_of("A.PNG") == "png"
    assert extension_of("x.php") == extension_of("noext") == "bin"
    assert [file_type_of(item) for item in ("glb", "mp4", "flac", "bin")] == [
        "model3d",
        "video",
        "audio",
        "file",
    ]


def test_a_runtime_error_tells_node_exception_and_message() -> None:
    failures = [failure for entry in histories("10_runtime_error") if (failure := execution_failure(entry))]
    first = failures[0]
    assert first.category is FailureCategory.NODE_ERROR
    assert first.details["node_class"] == "LoadImage"
    assert "Truncated File Read" in str(first)
    assert "OSError" in str(first)


def test_an_interrupted_run_is_told_from_a_failed_one() -> None:
    categories = {
        failure.category
        for entry in histories("13_interrupt_and_queue_delete")
        if (failure := execution_failure(entry))
    }
    assert categories == {FailureCategory.INTERRUPTED}


@pytest.mark.parametrize(
    ("exception_type", "message"),
    [
        ("torch.OutOfMemoryError", "Allocation on device"),
        ("torch.cuda.OutOfMemoryError", "x"),
        ("RuntimeError", "CUDA out of memory. Tried to allocate 2.00 GiB"),
        ("RuntimeError", "HIP out of memory"),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 9 GB)"),
        ("RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        ("MemoryError", ""),
    ],
)
def test_every_way_to_run_out_of_memory_is_recognised(exception_type: str, message: str) -> None:
    assert is_out_of_memory(exception_type, message)
    assert not is_out_of_memory("ValueError", "could not remember the seed")


def test_recorded_refusals_are_classified_with_the_servers_own_words() -> None:
    found: dict[str, ComfychainError] = {}
    for request, response in exchanges("11_invalid_prompts"):
        body = json.dumps(response["json"]) if "json" in response else response.get("text", "")
        is_partial = response["status"] == 200 and response.get("json", {}).get("node_errors")
        if request["path"] == "/prompt" and (response["status"] != 200 or is_partial):
            found[request["label"]] = submission_refusal("gpu", response["status"], body)
    assert found["unknown class_type"].category is FailureCategory.MISSING_NODE
    assert "NoSuchNode" in str(found["unknown class_type"])
    out_of_range = found["out of range"]
    assert out_of_range.category is FailureCategory.INVALID_GRAPH
    assert "Value 999999 bigger than max of 16384: height" in str(out_of_range)
    assert found["prompt null"].category is FailureCategory.SERVER_REFUSED
    partial = next(error for label, error in found.items() if label.startswith("TRAP"))
    assert partial.category is FailureCategory.INVALID_GRAPH
    assert "does_not_exist.png" in str(partial)


def test_a_model_file_that_the_server_does_not_offer_is_a_missing_model() -> None:
    problem = {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": "ckpt_name: 'x.safetensors' not in []",
        "extra_info": {"received_value": "x.safetensors"},
    }
    body = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "failed"},
        "node_errors": {"4": {"errors": [problem], "class_type": "CheckpointLoaderSimple"}},
    }
    error = submission_refusal("gpu", 400, json.dumps(body))
    assert error.category is FailureCategory.MISSING_MODEL
    assert "node 4 (CheckpointLoaderSimple)" in str(error)


@pytest.mark.parametrize(
    ("status", "category"), [(401, "server_refused"), (403, "server_refused"), (503, "lost")]
)
def test_refusals_of_a_proxy_are_told_from_those_of_comfyui(status: int, category: str) -> None:
    assert submission_refusal("gpu", status, "<html>no</html>").category == category


def test_recorded_websocket_messages_lead_to_one_end_per_run() -> None:
    events = [
        event
        for message in recording("02_empty_save")["ws"]
        if "json" in message and (event := parse_event(json.dumps(message["json"])))
    ]
    kinds = [event.kind for event in events]
    assert kinds[0] == "status"
    assert kinds.index("start") < kinds.index("executing") < kinds.index("end")
    assert {"1", "2"} <= {node for event in events for node in event.finished}


@pytest.mark.parametrize("message", ["", "[]", "{}", '{"type":"progress","data":[]}', "[" * 100_000, '"x"'])
def test_a_malformed_websocket_message_says_nothing(message: str) -> None:
    assert parse_event(message) is None


def test_sampler_progress_is_read() -> None:
    message = {"type": "progress", "data": {"value": 3, "max": 20, "prompt_id": "p", "node": "7"}}
    assert parse_event(json.dumps(message)) == Event("progress", "p", "7", 3, 20)


def test_a_history_entry_of_an_unexpected_shape_is_no_crash() -> None:
    entry = parse_history_entry("p", {"status": {"messages": [1, ["a"]]}, "outputs": [1], "prompt": {}})
    assert not entry.succeeded
    assert outputs_of(entry) == []
    failure = execution_failure(entry)
    assert failure is not None
    assert failure.category is FailureCategory.NODE_ERROR
