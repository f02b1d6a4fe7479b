"""Choosing a server."""

from datetime import UTC, datetime, timedelta
from typing import Any

from comfyui.placement import Candidate, Placement, Requirement, choose
from comfyui.server import Server
from contracts.failures import FailureCategory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INFO: dict[str, Any] = {
    "Loader": {"input": {"required": {"name": [["a.safetensors", "sub/b.safetensors"], {}]}}},
    "LoadImage": {"input": {"required": {"image": [[], {"image_upload": True}]}}},
}
GRAPH = {"1": {"class_type": "Loader", "inputs": {"name": "a.safetensors"}}}


def server(name: str, **more: Any) -> Server:
    return Server(name=name, url=f"http://{name}:8188", **more)


def up(name: str, *, tags: list[str] | None = None, **more: Any) -> Candidate:
    return Candidate(server(name, tags=tags or []), "up", object_info=more.pop("object_info", INFO), **more)


def chosen(placement: Placement) -> str | None:
    return placement.server.name if placement.server else None


def test_a_wide_level_spreads_over_all_servers() -> None:
    reserved = {"a": 0, "b": 0, "c": 0}
    for _ in range(6):
        name = chosen(choose([up(n, reserved=r) for n, r in reserved.items()], Requirement(GRAPH), now=NOW))
        assert name is not None
        reserved[name] += 1
    assert reserved == {"a": 2, "b": 2, "c": 2}
    full = choose([up(n, reserved=r) for n, r in reserved.items()], Requirement(GRAPH), now=NOW)
    assert full.server is None
    assert full.impossible is None
    assert full.waiting_reason == "all slots are taken: a, b, c"


def test_strangers_in_the_queue_count_as_load() -> None:
    assert chosen(choose([up("a", queue_pending=3), up("b")], Requirement(GRAPH), now=NOW)) == "b"


def test_name_and_tags_pin() -> None:
    both = [up("a", tags=["image"]), up("b", tags=["image", "big"])]
    assert chosen(choose(both, Requirement(GRAPH, tags=frozenset({"big"})), now=NOW)) == "b"
    assert chosen(choose(both, Requirement(GRAPH, name="a"), now=NOW)) == "a"
    nobody = choose(both, Requirement(GRAPH, name="zz"), now=NOW)
    assert nobody.category is FailureCategory.NO_SERVER
    assert nobody.impossible == "no server has the name 'zz'; there are: a, b"


def test_a_server_that_lacks_a_model_or_a_node_is_no_candidate_and_each_lack_is_listed() -> None:
    poor: dict[str, Any] = {"Loader": {"input": {"required": {"name": ["COMBO", {"options": ["z"]}]}}}}
    assert chosen(choose([up("a", object_info=poor), up("b")], Requirement(GRAPH), now=NOW)) == "b"
    both = choose([up("a", object_info=poor), up("b", object_info={})], Requirement(GRAPH), now=NOW)
    assert both.category is FailureCategory.MISSING_MODEL
    assert both.impossible is not None
    assert "a lacks 'a.safetensors' for 1.name (Loader)" in both.impossible
    assert "b lacks node class Loader" in both.impossible
    none = choose([up("b", object_info={})], Requirement(GRAPH), now=NOW)
    assert none.category is FailureCategory.MISSING_NODE


def test_uploaded_files_and_models_spelled_with_backslashes_are_no_lack() -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "comfychain/x.png"}},
        "2": {"class_type": "Loader", "inputs": {"name": "sub\\b.safetensors"}},
    }
    assert chosen(choose([up("a")], Requirement(graph), now=NOW)) == "a"


def test_a_server_of_unknown_abilities_that_is_down_is_waited_for() -> None:
    placement = choose([Candidate(server("a"), "down")], Requirement(GRAPH), now=NOW)
    assert placement.impossible is None
    assert placement.waiting_reason == "no server answers: a"


def test_a_failed_server_is_avoided_for_a_while_and_last_for_the_step_it_failed() -> None:
    later = NOW + timedelta(minutes=1)
    resting = up("a", avoided_until=later)
    assert chosen(choose([resting, up("b", reserved=1)], Requirement(GRAPH), now=NOW)) == "b"
    assert choose([resting], Requirement(GRAPH), now=NOW).waiting_reason.startswith("avoided for a while")
    assert chosen(choose([resting], Requirement(GRAPH), now=later)) == "a"
    failed_here = Requirement(GRAPH, avoid=frozenset({"a"}))
    assert chosen(choose([up("a"), up("b", reserved=1)], failed_here, now=NOW)) == "b"
    assert chosen(choose([up("a")], failed_here, now=NOW)) == "a"


def test_not_same_as_is_hard_while_another_server_could_do_it() -> None:
    other = Requirement(GRAPH, not_same_as=frozenset({"a"}))
    assert chosen(choose([up("a"), up("b", reserved=1)], other, now=NOW)) == "b"
    assert chosen(choose([up("a"), up("b", reserved=2)], other, now=NOW)) is None
    assert chosen(choose([up("a")], other, now=NOW)) == "a"
    assert chosen(choose([up("a"), up("b", object_info={})], other, now=NOW)) == "a"


def test_a_warm_server_is_preferred_on_request_even_if_busier() -> None:
    warm = up("b", reserved=1, warm_models=frozenset({"a.safetensors"}))
    models = frozenset({"a.safetensors"})
    assert chosen(choose([up("a"), warm], Requirement(GRAPH, prefer="warm", models=models), now=NOW)) == "b"
    assert chosen(choose([up("a"), warm], Requirement(GRAPH, models=models), now=NOW)) == "a"


def test_without_any_server_one_is_waited_for() -> None:
    placement = choose([], Requirement(GRAPH), now=NOW)
    assert placement.impossible is None
    assert "no server is configured" in placement.waiting_reason
