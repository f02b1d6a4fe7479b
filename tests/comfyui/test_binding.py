"""Binding a graph, and what a server may be called."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from comfyui.binding import bind, reseed, safe_prefix
from comfyui.server import Auth, Server
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FileRef
from contracts.graphs import parse_graph

GRAPH = parse_graph(
    {
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}, "_meta": {"title": "Plate"}},
        "2": {
            "class_type": "KSampler",
            "inputs": {"seed": 7, "steps": 20, "cfg": 1.5, "text": "a", "on": True, "image": ["1", 0]},
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "../shots/hero"}},
        "4": {"class_type": "Loader", "inputs": {"name": "m.safetensors"}},
    }
)
INFO: dict[str, Any] = {
    "KSampler": {
        "input": {
            "required": {"steps": ["INT", {}], "cfg": ["FLOAT", {}], "text": ["STRING", {}]},
            "optional": {"on": ["BOOLEAN", {}], "size": [[64, 128]]},
        }
    }
}
FILE = FileRef(
    kind="artifact", id="a", sha256="ab" * 32, size_bytes=1, file_type="image", extension="png", key="k"
)


def test_parameters_files_prefix_and_models_stand_in_the_bound_graph_and_the_original_stays() -> None:
    bound = bind(GRAPH, {"Plate": FILE.to_json(), "2.text": "dusk"}, prefix="run/edit/1")
    assert bound.document["1"]["inputs"]["image"] == FILE.server_name
    assert bound.document["2"]["inputs"]["text"] == "dusk"
    assert bound.document["3"]["inputs"]["filename_prefix"] == "comfychain/run/edit/1/shots/hero"
    assert bound.files == [("1.image", FILE)]
    assert bound.seeds == {"2.seed": 7}
    assert bound.models == ["m.safetensors"]
    assert bound.node_classes == ["KSampler", "LoadImage", "Loader", "SaveImage"]
    assert GRAPH.document["1"]["inputs"]["image"] == "x.png"


@pytest.mark.parametrize(
    ("name", "given_value", "bound_value"),
    [
        ("2.text", "007", "007"),
        ("2.text", 3, "3"),
        ("2.steps", "3", 3),
        ("2.steps", 4.0, 4),
        ("2.cfg", "0.5", 0.5),
        ("2.on", "false", False),
        ("2.size", "128", 128),
    ],
)
def test_values_are_fitted_to_the_declared_type_only(name: str, given_value: Any, bound_value: Any) -> None:
    value = bind(GRAPH, {name: given_value}, prefix="p", object_info=INFO).document["2"]["inputs"][name[2:]]
    assert value == bound_value
    assert type(value) is type(bound_value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("2.steps", "many"),
        ("2.steps", 1.5),
        ("2.steps", True),
        ("2.steps", float("inf")),
        ("2.cfg", "nan"),
        ("2.on", "perhaps"),
        ("2.text", {"a": 1}),
        ("2.text", ["1", 0]),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_address(name: str, value: Any) -> None:
    with pytest.raises(ComfychainError, match=name) as caught:
        bind(GRAPH, {name: value}, prefix="p", object_info=INFO)
    assert caught.value.category is FailureCategory.INVALID_INPUT


def test_one_input_set_under_two_names_is_refused() -> None:
    with pytest.raises(ComfychainError, match=r"both set 2\.steps"):
        bind(GRAPH, {"2.steps": 1, "steps": 2}, prefix="p")


@given(st.text(max_size=300))
def test_no_prefix_leads_out_of_the_output_folder(prefix: str) -> None:
    parts = safe_prefix(prefix).split("/")
    assert all(part and part not in (".", "..") and "\\" not in part and "\0" not in part for part in parts)


@pytest.mark.parametrize(
    ("prefix", "safe"),
    [
        ("/etc/x", "etc/x"),
        ("C:\\Windows\\x", "C/Windows/x"),
        ("../../x", "x"),
        ("", "ComfyUI"),
        ("%date:yyyy-MM-dd%/a", "%date:yyyy-MM-dd%/a"),
    ],
)
def test_hostile_prefixes_are_neutralised_and_placeholders_stay(prefix: str, safe: str) -> None:
    assert safe_prefix(prefix) == safe


def test_seeds_change_as_the_policy_says_and_the_same_entropy_gives_the_same() -> None:
    def seeds(policy: Any, entropy: str = "attempt 1") -> dict[str, int]:
        document = bind(GRAPH, {}, prefix="p").document
        answered = reseed(document, policy, entropy=entropy)
        assert document["2"]["inputs"]["seed"] == answered["2.seed"]
        return answered

    assert seeds("keep") == {"2.seed": 7}
    assert seeds("increment") == {"2.seed": 8}
    assert seeds(42) == {"2.seed": 42}
    assert seeds("new") == seeds("new")
    assert seeds("new") != seeds("new", "attempt 2")
    with pytest.raises(ComfychainError):
        seeds(-1)


def test_a_servers_url_is_normalised_and_holds_no_credentials() -> None:
    assert Server(name="a", url="HTTP://GPU-A:80/comfy/").url == "http://gpu-a/comfy"
    assert Server(name="a", url="http://[::1]:8188").url == "http://[::1]:8188"
    for url in (
        "ftp://x",
        "http://u:p@x",
        "http://",
        "http://x/?a=1",
        "file:///etc/passwd",
        "http://x:99999",
    ):
        with pytest.raises(ValidationError):
            Server(name="a", url=url)


def test_secrets_do_not_show_in_a_repr_and_headers_cannot_be_split() -> None:
    server = Server(name="a", url="http://x", auth=Auth(headers={"Authorization": "Bearer hidden"}))
    assert "hidden" not in repr(server) + str(server) + repr(server.auth)
    with pytest.raises(ValidationError):
        Auth(headers={"X": "a\r\nB: c"})
