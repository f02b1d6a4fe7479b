"""What a chain file may say, and what its author is told."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.definition import ChainDefinition, StepDefinition, Timeouts
from chains.loader import LoadedChain, load_chain
from chains.problems import InvalidChain, Problem
from contracts.activities import StepTimeouts

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}, "_meta": {"title": "Plate"}},
    "3": {"class_type": "ImageBlur", "inputs": {"image": ["1", 0], "blur_radius": 3}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
}

HERO_SHOT = """
name: hero-shot
inputs:
  plate: {type: image, required: true}
  look: {type: string, default: "dusk, 35mm"}
schedule: ready
steps:
  - id: edit
    workflow: qwen_image_edit
    parameters: {78.image: "{{ inputs.plate }}", 111.prompt: "{{ inputs.look }}"}
    server: {tags: [image], prefer: warm}          # or a name; not_same_as: STEP
    retry: {max_attempts: 3, on: [lost, out_of_memory, timeout], switch_server: true}
    timeouts: {queue: 30m, run: 2h, stall: 10m}
    approval:
      timeout: 48h
      on_timeout: hold
      on_rejected: regenerate
      max_regenerations: 3
      seed: new
      editable: [111.prompt, 3.cfg]
  - id: film
    workflow: firstEndTovideo
    condition: "{{ edit.status == 'completed' }}"
    parameters: {62.image: "{{ edit.output.image }}", 60.fps: 16}
    outputs: {clip: {node: "61", type: video, primary: true}}
outputs: {final: "{{ film.output.clip }}"}
"""


def one_step(text: str, **more: Any) -> LoadedChain:
    """A chain of step ``a`` on graph ``g`` with ``text`` (flow YAML) added to the step."""
    return load_chain(f"name: x\nsteps:\n  - {{id: a, workflow: g, {text}}}\n", **more)


def problems_of(source: str | dict[str, Any], **more: Any) -> list[Problem]:
    with pytest.raises(InvalidChain) as caught:
        load_chain(source, source_name="chain.yaml", **more)
    return caught.value.problems


def test_the_design_s_own_example_loads_with_every_key_in_its_place() -> None:
    loaded = load_chain(HERO_SHOT)
    assert loaded.warnings == []
    edit, film = loaded.definition.steps
    assert edit.approval is not None
    assert edit.approval.timeout_seconds == 48 * 3600
    assert edit.approval.editable == ["111.prompt", "3.cfg"]
    assert (edit.timeouts.queue_seconds, edit.timeouts.run_seconds, edit.timeouts.stall_seconds) == (
        1800,
        7200,
        600,
    )
    assert edit.server.tags == ["image"]
    assert edit.server.prefer == "warm"
    assert film.approval is None
    assert film.outputs["clip"].node == "61"
    assert film.parameters == {"62.image": "{{ edit.output.image }}", "60.fps": 16}
    assert [(step.id, step.level, step.needs, step.own_condition) for step in loaded.plan.steps] == [
        ("edit", 0, [], False),
        ("film", 1, ["edit"], True),
    ]
    assert loaded.plan.schedule == "ready"


def test_a_definition_survives_its_own_dump() -> None:
    source = HERO_SHOT.replace(
        "schedule: ready", "defaults: {approval: true, timeouts: {queue: 1h}}"
    ).replace("condition:", "approval: false\n    condition:")
    definition = load_chain(source).definition
    for by_alias in (True, False):
        dumped = definition.model_dump(mode="json", by_alias=by_alias)
        assert load_chain(dumped).definition == definition


def test_every_error_comes_at_once_with_its_line_and_column() -> None:
    source = """\
schema: 2
name: bad
inputs:
  plate: {type: imag}
steps:
  - id: edit
    graph: g
    parameters: {Plate.image: "{{ inputs.plat }}", 3.blur_radus: "{{ film.output.clp }}"}
    retry: {on: [lots]}
    timeout: 3h
  - id: film
    depends_on: [edti]
    workflow: g
    outputs: {clip: {node: 8}}
    place: {not_same_as: flim}
    condition: "edit.stats == 'completed'"
"""
    found = {(p.line, p.column, p.code): p for p in problems_of(source, graphs={"g": GRAPH})}
    assert set(found) == {
        (4, 17, "literal_error"),
        (8, 31, "unknown_input"),
        (8, 66, "unknown_output"),
        (9, 17, "unknown_category"),
        (10, 5, "unknown_key"),
        (12, 18, "unknown_step"),
        (14, 28, "unknown_node"),
        (15, 26, "unknown_step"),
        (16, 16, "template"),
    } | {(8, 52, "unlisted_parameter")}
    assert found[4, 17, "literal_error"].hint == "did you mean image?"
    assert found[8, 31, "unknown_input"].hint == "did you mean plate?"
    assert found[9, 17, "unknown_category"].hint == "did you mean lost?"
    assert found[10, 5, "unknown_key"].hint == "did you mean timeouts?"
    assert found[12, 18, "unknown_step"].hint == "did you mean edit?"
    assert str(found[15, 26, "unknown_step"]) == (
        "chain.yaml:15:26 unknown_step there is no step 'flim' (did you mean film?)"
    )


def test_problems_of_json_data_name_the_path_instead_of_a_line() -> None:
    steps = [{"id": "a", "workflow": "g"}, {"id": "b", "workflow": "g", "condition": "c.status == 'x'"}]
    [problem] = problems_of({"name": "x", "steps": steps})
    assert str(problem) == "chain.yaml:steps[1].condition unknown_step there is no step 'c' (known: a, b)"


def test_unknown_keys_are_warnings_without_schema_2_and_errors_with_it() -> None:
    source = "name: x\nauthor: me\nsteps: [{id: a, workflow: g, paramters: {}}]\n"
    loaded = load_chain(source)
    assert [(w.line, w.column, w.code, w.severity) for w in loaded.warnings] == [
        (2, 1, "unknown_key", "warning"),
        (3, 30, "unknown_key", "warning"),
    ]
    assert loaded.warnings[1].hint == "did you mean parameters?"
    assert {p.severity for p in problems_of("schema: 2\n" + source)} == {"error"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("variants: 4", "not_yet"),
        ("map: [1]", "not_yet"),
        ("cache: true", "not_yet"),
        ("retention: 7d", "not_yet"),
        ("kind: event", "not_yet"),
        ("timeouts: {run: 3 parsecs}", "duration"),
        ("timeouts: {run: -1}", "duration"),
        ("timeouts: {run: 0}", "duration"),
        ("outputs: {artifacts: {node: 1}}", "name"),
        ("outputs: {x: {node: 1, primary: true}, y: {node: 1, primary: true}}", "primary"),
        ("server: {not_same_as: a}", "not_same_as"),
        ("depends_on: [a]", "cycle"),
        ('parameters: {1.x: "{{ a.output.image }}"}', "cycle"),
        ('parameters: {1.x: ["{{ inputs.x"]}', "template"),
        ('condition: "{{ 1 == 1 }} and true"', "template"),
    ],
)
def test_a_wrong_step_is_refused_with_its_reason(text: str, code: str) -> None:
    with pytest.raises(InvalidChain) as caught:
        one_step(text)
    assert [problem.code for problem in caught.value.problems] == [code]


@pytest.mark.parametrize("step_id", ["a/b", "", "inputs", "tasks", "x" * 65, "a b", "a.b", "ä", "true"])
def test_a_step_id_is_a_slug_that_templates_can_name(step_id: str) -> None:
    codes = [p.code for p in problems_of({"name": "x", "steps": [{"id": step_id, "workflow": "g"}]})]
    assert codes == ["name"]


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@1", "", "x" * 101, "../x"])
def test_a_chain_s_name_holds_no_separator_of_ids_or_versions(name: str) -> None:
    assert "name" in [p.code for p in problems_of({"name": name, "steps": [{"id": "a", "workflow": "g"}]})]


def test_a_cycle_is_named_along_its_edges() -> None:
    steps = [
        {"id": "a", "workflow": "g", "depends_on": ["b"]},
        {"id": "b", "workflow": "g", "condition": "{{ c.status == 'completed' }}"},
        {"id": "c", "workflow": "g", "parameters": {"1.x": "{{ a.output.image }}"}},
    ]
    [problem] = problems_of({"name": "x", "steps": steps})
    assert problem.code == "cycle"
    assert problem.message.endswith("a -> b -> c -> a")


def test_a_duplicate_id_is_reported_where_it_stands_the_second_time() -> None:
    [problem] = problems_of("name: x\nsteps:\n  - {id: a, workflow: g}\n  - {id: a, workflow: g}\n")
    assert (problem.code, problem.line) == ("duplicate_id", 4)


def test_more_than_five_thousand_steps_are_refused() -> None:
    steps = [{"id": f"s{n}", "workflow": "g"} for n in range(5001)]
    assert [p.code for p in problems_of({"name": "x", "steps": steps})] == ["too_many_steps"]


def test_thousands_of_problems_are_cut_to_a_readable_number() -> None:
    steps = [{"id": f"s{n}", "workflow": "g", "depends_on": ["nope"]} for n in range(3000)]
    found = problems_of({"name": "x", "steps": steps})
    assert len(found) == 101
    assert found[-1].code == "more"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", "empty"),
        ("- a\n", "shape"),
        ("just text", "shape"),
        ('{"nodes": [], "links": []}', "shape"),
        ('{"1": {"class_type": "SaveImage", "inputs": {}}}', "shape"),
        ("name: x\n", "missing"),
        ("name: x\nsteps: []\n", "too_short"),
        ("name: x\nsteps: 3\n", "list_type"),
    ],
)
def test_what_is_no_chain_at_all_is_said_so(source: str, code: str) -> None:
    assert code in [problem.code for problem in problems_of(source)]


def test_one_mistake_in_defaults_is_reported_once_and_where_it_was_written() -> None:
    source = "name: x\ndefaults:\n  parameters: {1.x: '{{ inputs.nope }}'}\nsteps:\n" + "".join(
        f"  - {{id: s{n}, workflow: g}}\n" for n in range(5)
    )
    assert [(p.line, p.code) for p in problems_of(source)] == [(3, "unknown_input")]
    broken = source.replace("parameters: {1.x: '{{ inputs.nope }}'}", "retry: {max_attempts: many}")
    assert {(p.line, p.code) for p in problems_of(broken)} == {(3, "int_parsing")}


def test_defaults_fill_steps_and_what_a_step_says_wins() -> None:
    definition = load_chain(
        {
            "name": "x",
            "defaults": {
                "retry": {"max_attempts": 5, "switch_server": False},
                "approval": {"timeout": "3d"},
                "server": {"tags": ["gpu"]},
                "parameters": {"1.steps": 20},
            },
            "steps": [
                {"id": "a", "workflow": "g"},
                {"id": "b", "workflow": "g", "approval": False, "retry": {"max_attempts": 1}},
                {"id": "c", "workflow": "g", "approval": True, "place": {"name": "gpu-a"}},
                {"id": "d", "workflow": "g", "parameters": {"1.steps": 4}},
            ],
        }
    ).definition
    a, b, c, d = definition.steps
    assert a.approval is not None
    assert a.approval.timeout_seconds == 3 * 86400
    assert b.approval is None
    assert (b.retry.max_attempts, b.retry.switch_server) == (1, False)
    assert c.approval == a.approval
    assert (c.server.name, c.server.tags) == ("gpu-a", ["gpu"])
    assert (a.parameters, d.parameters) == ({"1.steps": 20}, {"1.steps": 4})


@pytest.mark.parametrize("inside", [True, False])
def test_the_ancestor_s_approval_loads_beside_or_inside_parameters(inside: bool) -> None:
    old = {
        "requires_approval": True,
        "approval": {
            "timeout_hours": 2,
            "on_rejected": "regenerate",
            "max_retries": 1,
            "timeout_action": "auto_reject",
        },
    }
    step: dict[str, Any] = {"id": "a", "workflow": "g", "parameters": {"1.x": 1, **(old if inside else {})}}
    step |= {} if inside else old
    loaded = load_chain({"schema": 2, "name": "Old Chain", "steps": [step]})
    [made] = loaded.definition.steps
    assert made.parameters == {"1.x": 1}
    assert made.approval is not None
    assert made.approval.model_dump() == {
        "timeout_seconds": 7200,
        "on_timeout": "reject",
        "on_rejected": "regenerate",
        "max_regenerations": 1,
        "seed": "new",
        "editable": [],
    }


def test_an_approval_block_that_the_ancestor_switched_off_asks_nobody() -> None:
    step = {"id": "a", "workflow": "g", "requires_approval": False, "approval": {"timeout_hours": 2}}
    assert StepDefinition.model_validate(step).approval is None
    assert StepDefinition.model_validate({"id": "a", "graph": "g", "requires_approval": True}).approval


def test_graphs_are_checked_against_what_the_steps_use() -> None:
    ok = "parameters: {Plate: x.png, 9.filename_prefix: y, blur_radius: 3}"
    assert one_step(ok, graphs={"g": GRAPH}, complete_graphs=True).warnings == []
    with pytest.raises(InvalidChain) as caught:
        one_step("parameters: {2.image: 1}, approval: {editable: [8.cfg]}", graphs={"g": GRAPH})
    assert [p.code for p in caught.value.problems] == ["unknown_parameter"] * 2
    with pytest.raises(InvalidChain) as caught:
        one_step("parameters: {3.blur_radius: 1, blur_radius: 2}", graphs={"g": GRAPH})
    assert [p.code for p in caught.value.problems] == ["duplicate_parameter"]


def test_a_ui_graph_is_refused_with_the_way_to_export_an_api_graph() -> None:
    with pytest.raises(InvalidChain) as caught:
        one_step("parameters: {}", graphs={"g": {"nodes": [], "links": []}})
    [problem] = caught.value.problems
    assert problem.code == "graph"
    assert "Export (API)" in (problem.hint or "")
    [problem] = problems_of(
        {"name": "x", "graphs": {"g": {"nodes": []}}, "steps": [{"id": "a", "graph": "g"}]}
    )
    assert problem.path == "graphs.g"


def test_a_graph_that_is_given_nowhere_is_an_error_only_where_all_were_given() -> None:
    assert one_step("parameters: {1.x: 1}").plan.steps
    with pytest.raises(InvalidChain) as caught:
        one_step("parameters: {1.x: 1}", graphs={"gg": GRAPH}, complete_graphs=True)
    [problem] = caught.value.problems
    assert (problem.code, problem.hint) == ("unknown_graph", "did you mean gg?")


def test_an_output_name_must_be_declared_or_be_a_type() -> None:
    base = {"name": "x", "steps": [{"id": "a", "workflow": "g", "outputs": {"clip": {"node": 9}}}]}
    for name in ("clip", "image", "video", "audio", "text", "file"):
        assert load_chain({**base, "outputs": {"o": f"{{{{ a.output.{name} }}}}"}})
    [problem] = problems_of({**base, "outputs": {"o": "{{ a.output.clop }}"}})
    assert (problem.code, problem.hint) == ("unknown_output", "did you mean clip?")


def test_a_step_s_parameter_can_be_read_if_it_or_its_graph_has_it() -> None:
    base = {"name": "x", "steps": [{"id": "a", "workflow": "g", "parameters": {"1.image": "x"}}]}
    for name in ("1.image", "3.blur_radius"):
        assert load_chain(
            {**base, "outputs": {"o": f'{{{{ a.parameters["{name}"] }}}}'}}, graphs={"g": GRAPH}
        )
    source = {**base, "outputs": {"o": '{{ a.parameters["7.cfg"] }}'}}
    assert [p.code for p in problems_of(source, graphs={"g": GRAPH})] == ["unknown_parameter"]


def test_the_default_timeouts_are_those_that_the_workflow_uses() -> None:
    assert Timeouts().model_dump() == StepTimeouts().model_dump()


def test_a_version_and_labels_stay_as_written() -> None:
    source = "name: x\nversion: 1.10\nlabels: {shot: 0010, take: 1e5}\nsteps: [{id: 007, workflow: g}]\n"
    definition = load_chain(source).definition
    assert definition.version == "1.10"
    assert definition.labels == {"shot": "0010", "take": "1e5"}
    assert definition.steps[0].id == "007"


def test_a_missing_step_is_a_key_error() -> None:
    definition = ChainDefinition.model_validate({"name": "x", "steps": [{"id": "a", "workflow": "g"}]})
    assert definition.step("a").workflow == "g"
    with pytest.raises(KeyError):
        definition.step("b")


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "b/c", "{{ a.status }}", "{{ inputs.x }}", "{{", "3h", "g", "inputs", "lost"]),
)
words = [
    *StepDefinition.model_fields,
    *("graph", "place", "requires_approval", "timeout_hours", "max_retries", "queue", "queue_seconds"),
    *("timeout", "on", "max_attempts", "name", "node", "primary", "type", "default", "a", "1.x"),
]
anything = st.recursive(
    junk,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(words), inner, max_size=4),
)
chain_words = ["schema", *list(ChainDefinition.model_fields)[1:], "extra"]


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(st.sampled_from(chain_words), anything, max_size=5),
    st.lists(st.dictionaries(st.sampled_from(words), anything, max_size=5), min_size=1, max_size=3),
)
def test_any_json_either_loads_or_is_refused_with_problems(chain: dict[str, Any], steps: list[Any]) -> None:
    source = {"name": "x", **chain, "steps": [{"id": "a", "workflow": "g"}, *steps]}
    before = json.dumps(source)
    try:
        loaded = load_chain(source, graphs={"g": GRAPH})
    except InvalidChain as error:
        listed = error.problems
        assert any(problem.severity == "error" for problem in listed)
    else:
        assert load_chain(loaded.definition.model_dump(mode="json")).definition == loaded.definition
    assert json.dumps(source) == before


def test_a_file_mark_in_a_step_is_refused_at_its_place() -> None:
    source = "name: x\nsteps:\n  - id: a\n    workflow: g\n    parameters:\n      1.image: {$file: 1}\n"
    with pytest.raises(InvalidChain) as caught:
        load_chain(source)
    [problem] = caught.value.problems
    assert (problem.code, problem.line, problem.severity) == ("file_mark", 6, "error")
