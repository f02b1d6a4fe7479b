"""What a chain is started from: files with the graphs beside them, text, mappings and names."""

import json
import os
from pathlib import Path

import pytest

from comfychain import AsyncTemporalClient, Invalid, NotFound
from comfychain.client.address import api_token, api_url, temporal_address
from comfychain.client.sources import Source, load_source

GRAPH = {"1": {"class_type": "EmptyImage", "inputs": {}}}
YAML = """\
name: two
steps:
  - id: a
    workflow: make_it  # the first
  - {id: b, graph: "studio:look:1.2"}
  - id: c
    workflow: shipped_elsewhere
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "two.yaml").write_text(YAML)
    (tmp_path / "graphs" / "studio").mkdir(parents=True)
    (tmp_path / "graphs" / "make_it.json").write_text(json.dumps(GRAPH))
    (tmp_path / "graphs" / "studio" / "look@1.2.json").write_text(json.dumps({**GRAPH, "2": {}}))
    (tmp_path / "graphs" / "not_named.json").write_text(json.dumps(GRAPH))
    return tmp_path


def test_a_file_brings_the_graphs_it_names(folder: Path) -> None:
    for given in (folder / "two.yaml", str(folder / "two.yaml")):
        source = load_source(given)
        assert source.definition == YAML
        assert source.graphs == {"make_it": GRAPH, "studio:look:1.2": {**GRAPH, "2": {}}}
        assert source.chain is None


def test_a_graph_beside_the_file_comes_before_one_in_a_folder(folder: Path) -> None:
    (folder / "make_it.json").write_text('{"nearer": {}}')
    assert load_source(folder / "two.yaml").graphs["make_it"] == {"nearer": {}}


def test_a_graph_that_is_given_comes_before_a_file(folder: Path) -> None:
    assert load_source(folder / "two.yaml", {"make_it": {"mine": {}}}).graphs["make_it"] == {"mine": {}}


def test_a_graph_that_cannot_be_read_is_told_with_its_file(folder: Path) -> None:
    (folder / "graphs" / "make_it.json").write_text("{")
    with pytest.raises(Invalid, match=r"make_it\.json is not JSON") as caught:
        load_source(folder / "two.yaml")
    assert caught.value.code == "invalid_graph"


def test_no_reference_leaves_the_folders(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"secret": {}}')
    (tmp_path / "inside").mkdir()
    chain = tmp_path / "inside" / "x.yaml"
    chain.write_text("name: x\nsteps:\n- {id: a, workflow: ..:secret}\n- {id: b, workflow: a:../../secret}\n")
    assert load_source(chain).graphs == {}


def test_text_of_several_lines_is_yaml_a_mapping_a_definition_and_a_word_a_name() -> None:
    assert load_source(YAML) == Source(definition=YAML)
    assert load_source({"name": "x", "steps": []}) == Source(definition={"name": "x", "steps": []})
    assert load_source("portrait-to-poster@2") == Source(chain="portrait-to-poster@2")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.yaml"):
        load_source(tmp_path / "nowhere.yaml")


def test_text_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"name: \xff")
    with pytest.raises(Invalid, match="not UTF-8"):
        load_source(tmp_path / "x.yaml")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("COMFYCHAIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_what_is_given_comes_first_then_the_environment_then_what_runs(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api_url(None) == "http://127.0.0.1:8800"
    running = {"pid": os.getpid(), "api_url": "http://127.0.0.1:4711", "temporal_address": "127.0.0.1:4712"}
    (data / "running.json").write_text(json.dumps(running))
    assert api_url(None) == "http://127.0.0.1:4711"
    assert temporal_address(None) == "127.0.0.1:4712"
    monkeypatch.setenv("COMFYCHAIN_API_URL", "https://review.example.com/")
    assert api_url(None) == "https://review.example.com"
    assert api_url("http://other:1") == "http://other:1"
    monkeypatch.setenv("COMFYCHAIN_API_TOKEN", "from-environment")
    assert (api_token(None), api_token("given")) == ("from-environment", "given")


def test_what_has_died_is_not_believed(data: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (data / "running.json").write_text(json.dumps({"pid": child, "api_url": "http://127.0.0.1:4711"}))
    assert api_url(None) == "http://127.0.0.1:8800"


async def test_a_file_cannot_be_sent_through_temporal(tmp_path: Path) -> None:
    client = AsyncTemporalClient.__new__(AsyncTemporalClient)
    with pytest.raises(Invalid, match="'plate'") as caught:
        await client.start("some-chain", parameters={"plate": tmp_path / "plate.png"})
    assert "file:NAME" in (caught.value.hint or "")
