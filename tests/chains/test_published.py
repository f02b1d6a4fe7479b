"""What ships beside the code: the schema, the reference and the examples."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chains.document import read_document
from chains.inputs import resolve_inputs
from chains.loader import LoadedChain, load_chain
from chains.namespace import Namespace
from chains.reference import reference_markdown
from chains.schema import json_schema, schema_text
from chains.templates import render
from contracts.graphs import parse_graph

ROOT = Path(__file__).parents[2]
EXAMPLE_PATH = ROOT / "chains" / "examples"
EXAMPLES = sorted(EXAMPLE_PATH.glob("*.yaml"))
GRAPHS = {path.stem: json.loads(path.read_text()) for path in (EXAMPLE_PATH / "graphs").glob("*.json")}
MODEL_FREE = {
    "EmptyImage", "LoadImage", "ImageInvert", "ImageScale", "ImageBlur", "ImageBatch", "SaveImage",
    "CreateVideo", "SaveVideo",
}  # fmt: skip


def load_example(name: str) -> LoadedChain:
    text = (EXAMPLE_PATH / f"{name}.yaml").read_text()
    return load_chain(text, source_name=name, graphs=GRAPHS, complete_graphs=True)


def test_the_published_schema_is_the_generated_one() -> None:
    assert (ROOT / "chains" / "chain.schema.json").read_text() == schema_text()


def test_the_published_reference_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "chain-language.md").read_text() == reference_markdown()


def keywords(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keywords(item) for item in value.values()))
    return set().union(*(keywords(item) for item in value)) if isinstance(value, list) else set()


def test_the_schema_uses_only_what_draft_7_has() -> None:
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    later = {"$defs", "prefixItems", "unevaluatedProperties", "dependentRequired", "$anchor", "minContains"}
    assert not keywords(schema) & later

    def references_alone(value: Any) -> bool:
        if isinstance(value, dict):
            return ("$ref" not in value or set(value) == {"$ref"}) and all(
                map(references_alone, value.values())
            )
        return all(map(references_alone, value)) if isinstance(value, list) else True

    assert references_alone(schema)
    assert "#/$defs" not in schema_text()


@pytest.mark.parametrize(
    ("step", "fits"),
    [
        ({"id": "a", "workflow": "g", "approval": True, "server": "gpu", "timeouts": {"run": "2h"}}, True),
        ({"id": "a", "graph": "g", "place": {"not_same_as": "b"}, "requires_approval": True}, True),
        ({"id": "a", "graph": "g", "approval": {"timeout_hours": 2, "timeout_action": "auto_reject"}}, True),
        ({"id": 7, "workflow": "g", "timeouts": {"run": 90}, "depends_on": ["b"], "condition": True}, True),
        ({"id": "a"}, False),
        ({"workflow": "g"}, False),
        ({"id": "a", "workflow": "g", "approvl": True}, False),
        ({"id": "a", "workflow": "g", "approval": {"on_rejected": "cry"}}, False),
        ({"id": "a", "workflow": "g", "retry": {"on": ["lots"]}}, False),
    ],
)
def test_the_schema_accepts_what_the_loader_accepts(step: dict[str, Any], fits: bool) -> None:
    validator = jsonschema.Draft7Validator(json_schema())
    assert validator.is_valid({"name": "x", "steps": [step]}) is fits


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid_without_a_warning_and_fits_the_schema(path: Path) -> None:
    loaded = load_example(path.stem)
    assert loaded.warnings == []
    assert loaded.definition.name == path.stem
    jsonschema.Draft7Validator(json_schema()).validate(read_document(path.read_text(), path.name).data)


def test_the_three_examples_that_the_documents_name_ship() -> None:
    assert [path.stem for path in EXAMPLES] == ["portrait-to-poster", "still-to-film", "two-frames"]


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_every_example_graph_needs_no_model_and_saves_something_small(name: str) -> None:
    graph = parse_graph(GRAPHS[name])
    assert set(graph.node_classes) <= MODEL_FREE
    assert {"SaveImage", "SaveVideo"} & set(graph.node_classes)
    sizes = [item.value for item in graph.inputs() if item.name in ("width", "height")]
    assert all(size <= 384 for size in sizes)
    assert name in {step.workflow for path in EXAMPLES for step in load_example(path.stem).definition.steps}


def test_the_look_of_a_portrait_decides_its_colour() -> None:
    definition = load_example("portrait-to-poster").definition
    assert resolve_inputs(definition, {}) == {"look": "dusk"}
    spec = definition.inputs["look"]
    colours = {
        render(definition.step("portrait").parameters, Namespace(inputs={"look": look}))["1.color"]
        for look in spec.choices or []
    }
    assert len(colours) == 4
    assert all(isinstance(colour, int) and 0 <= colour <= 0xFFFFFF for colour in colours)
    assert definition.step("edit").approval is not None


def test_two_frames_has_three_levels_and_edits_each_frame_elsewhere_after_approval() -> None:
    loaded = load_example("two-frames")
    levels = [[step.id for step in loaded.plan.steps if step.level == level] for level in range(4)]
    assert levels == [["frame_a", "frame_b"], ["edit_a", "edit_b"], ["both"], []]
    step = loaded.definition.step
    assert step("frame_a").server.not_same_as == ["frame_b"]
    assert step("frame_b").server.not_same_as == ["frame_a"]
    assert step("edit_a").server.not_same_as == ["frame_a"]
    assert step("edit_b").server.not_same_as == ["frame_b"]
    assert all(step(name).approval for name in ("frame_a", "frame_b"))
