"""References, their values, and everything that a template is not."""

import ast
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.expressions import MAX_LENGTH, ExpressionError, Undefined, parse_expression
from chains.filters import FILTERS
from chains.namespace import Namespace, StepView
from chains.templates import evaluate_condition, literal, references, render
from contracts.files import FileRef


def picture(name: str) -> FileRef:
    return FileRef(
        kind="artifact",
        id=name,
        sha256="0" * 64,
        size_bytes=12,
        file_type="image",
        extension="png",
        key=f"k/{name}.png",
        uri=f"file:///store/{name}.png",
    )


FIRST, SECOND = picture("one"), picture("two")
INPUTS = {
    "look": "dusk",
    "steps": 20,
    "scale": 1.5,
    "fast": True,
    "none": None,
    "deep": {"a": [1, {"b": 2}]},
    "plate": FIRST,
    "code": "007",
}
NAMESPACE = Namespace(
    inputs=INPUTS,
    steps={
        "edit": StepView("completed", {"image": (FIRST, SECOND), "caption": ("a fox",)}, {"3.cfg": 7.5}),
        "my-step": StepView("failed"),
        "1st": StepView("skipped"),
    },
)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ edit.output.image }}", FIRST),
        ("{{ edit.outputs.image[1] }}", SECOND),
        ("{{ edit.output.image[-1].id }}", "two"),
        ("{{edit.output.image.uri}}", "file:///store/one.png"),
        ("{{ edit.output.image.path }}", FIRST),
        ("{{ edit.output.image.size_bytes }}", 12),
        ("{{ edit.output.image.sha256 }}", "0" * 64),
        ("{{tasks.edit.outputs.artifacts.image.uri}}", "file:///store/one.png"),
        ("{{tasks.edit.outputs.artifacts.image.path}}", FIRST),
        ("{{ edit.output.caption }}", "a fox"),
        ("{{ edit.status }}", "completed"),
        ("{{ my-step.status }}", "failed"),
        ("{{ tasks['1st'].status }}", "skipped"),
        ('{{ edit.parameters["3.cfg"] }}', 7.5),
        ("{{ inputs.look }}", "dusk"),
        ("  {{ inputs.steps }}\n", 20),
        ("{{ inputs.fast }}", True),
        ("{{ inputs.none }}", None),
        ("{{ inputs.code }}", "007"),
        ("{{ inputs.plate.id }}", "one"),
        ("{{ inputs.deep.a[1].b }}", 2),
        ("{{ inputs.deep }}", {"a": [1, {"b": 2}]}),
        ("{{ my-step.output.image | default(inputs.plate) }}", FIRST),
        ("{{ inputs.none | default('x') | upper }}", "X"),
        ("{{ inputs.look == 'dusk' and 1 or 2 }}", 1),
        ("{{ -3 }}", -3),
        ("{{ [1, 'a', true] }}", [1, "a", True]),
        ("look: {{ inputs.look }}, {{ inputs.steps }} {{ inputs.fast }}", "look: dusk, 20 true"),
        ("{{ '{{' }} and {{ \"}}\" }}", "{{ and }}"),
        ("id {{ edit.output.image.id }}", "id one"),
        ("{{ inputs.deep }}!", '{"a": [1, {"b": 2}]}!'),
        ("no template, {single} {% if %} {# x #}", "no template, {single} {% if %} {# x #}"),
        (5, 5),
        (None, None),
        ({"a": ["{{ inputs.steps }}", {"b": "{{ edit.output.image }}"}]}, {"a": [20, {"b": FIRST}]}),
    ],
)  # fmt: skip
def test_a_template_has_the_value_that_it_names_with_its_type(template: Any, value: Any) -> None:
    made = render(template, NAMESPACE)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("{{ edit.status == 'completed' }}", True),
        ("edit.status != 'completed'", False),
        ("edit.status in ['failed', 'skipped'] or inputs.steps >= 20", True),
        ("not inputs.fast", False),
        ("0 < inputs.steps <= 20", True),
        ("inputs.look not in ['dawn']", True),
        ("inputs.none", False),
        ("'us' in inputs.look", True),
        ("inputs.code | int == 7", True),
        ("inputs.look | length == 4 and inputs.scale > 1", True),
        ("true", True),
        ("null", False),
        ("my-step.status == 'failed'", True),
        ("(\n edit.status == 'completed'\n and true )", True),
    ],
)
def test_a_condition_is_written_with_or_without_braces(condition: str, holds: bool) -> None:
    assert evaluate_condition(condition, NAMESPACE) is holds


@pytest.mark.parametrize(
    "template",
    [
        "{{ nope.output.image }}",
        "{{ inputs.nope }}",
        "{{ my-step.output.image }}",
        "{{ edit.output.image[2] }}",
        '{{ edit.parameters["4.cfg"] }}',
        "{{ edit.output.caption.uri }}",
        "{{ inputs.deep.zzz }}",
        "{{ inputs.deep.a[9] }}",
        "{{ inputs.look.upper }}",
        "{{ inputs.plate.server_name }}",
        "{{ inputs.plate.__class__ }}",
        "{{ inputs.deep.keys }}",
    ],
)
def test_a_reference_to_nothing_is_undefined(template: str) -> None:
    with pytest.raises(Undefined):
        render(template, NAMESPACE)


@pytest.mark.parametrize(
    "template",
    [
        "a {{ edit.output.image }}",
        "{{ inputs.plate }}{{ inputs.plate }}",
        "a {{ inputs.none }}",
        "a {{ [edit.output.image] }}",
        "{{ inputs.look < 3 }}",
        "{{ 1 in 2 }}",
        "{{ inputs.look | int }}",
        "{{ inputs.steps | lower }}",
        "{{ 'inf' | float }}",
        "{{ [] | first }}",
    ],
)
def test_values_that_do_not_fit_are_a_clear_error(template: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        render(template, NAMESPACE)
    assert caught.value.category == "invalid_input"


HOSTILE = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ self._TemplateReference__context }}",
    "{{ request.application.__globals__.__builtins__ }}",
    "{{ config.items() }}",
    "{{ ''|attr('__class__') }}",
    "{{ 7*7 }}",
    "{{ 9**9**9 }}",
    "{{ 'a' * 10**9 }}",
    "{{ 1 << 99999 }}",
    "{{ (lambda: 1)() }}",
    "{{ [x for x in inputs] }}",
    "{{ f'{inputs.look}' }}",
    "{{ '%s' % inputs.look }}",
    "{{ inputs.look.format(1) }}",
    "{{ inputs['look'].upper() }}",
    "{{ __import__('os').system('true') }}",
    "{{ (x := 1) }}",
    "{{ {'a': 1} }}",
    "{{ inputs.look if true else 1 }}",
    "{{ inputs.look is none }}",
    "{{ edit.output.image[0:1] }}",
    "{{ edit.output.image[inputs.steps] }}",
    "{{ *edit }}",
    "{{ a; b }}",
    "{{ import os }}",
    "{{ inputs.look | default(value='x') }}",
    "{{ inputs.look | lower.upper }}",
    "{{ edit }}",
    "{{ edit.output }}",
    "{{ edit.__class__ }}",
    "{{ edit.output.image.__init__ }}",
    "{{ inputs }}",
    "{{ tasks }}",
    "{{ }}",
    "{{ inputs.look # }}",
    "{{ b'x' }}",
    "{{ 1j }}",
    "{{ ... }}",
    "{{ ",
    "{{ 'a }}",
    "{{ a }b",
    "{{ \x00 }}",
    "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    "{{ " + "not " * 200 + "1 }}",
    "{{ " + "-" * 900 + "1 }}",
    "{{ x" + ".a" * 400 + " }}",
    "{{ " + "[" * 90 + "]" * 90 + " }}",
    "{{ 1" + " | string" * 90 + " }}",
    "{{ '" + "x" * MAX_LENGTH + "' }}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_not_in_the_language_is_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(ExpressionError):
        references(text)


@pytest.mark.parametrize(
    "text",
    ["{% for x in ().__class__ %}", "{# comment #}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "{7*7}", "%(x)s"],
)
def test_other_template_languages_are_plain_text(text: str) -> None:
    assert references(text) == []
    assert render(text, NAMESPACE) == text
    assert render({"a": [text]}, NAMESPACE) == {"a": [text]}


def test_a_value_is_never_read_as_a_template_again() -> None:
    hostile = Namespace(inputs={"look": "{{ inputs.secret }}", "secret": "x"})
    assert render("{{ inputs.look }}", hostile) == "{{ inputs.secret }}"
    assert render("look: {{ inputs.look }}", hostile) == "look: {{ inputs.secret }}"


def test_references_are_found_in_nested_values_in_order() -> None:
    value = {"a": "{{ edit.output.image }}", "b": ["x {{ inputs.look }} {{ tasks.edit.status }}", 3]}
    assert [(r.kind, r.step, r.name, r.key) for r in references(value)] == [
        ("output", "edit", "edit", "image"),
        ("input", None, "look", ""),
        ("status", "edit", "edit", ""),
    ]


names = st.sampled_from(["edit", "inputs", "tasks", "my-step", "x", "__builtins__", "os", "open", "exit"])
atoms = st.one_of(
    names,
    st.integers(-9, 99).map(str),
    st.text("ab'\"\\", max_size=4).map(repr),
    st.sampled_from(list(FILTERS)),
)


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        inner.map(lambda a: f"({a})"),
        inner.map(lambda a: f"not {a}"),
        inner.map(lambda a: f"[{a}]"),
        inner.map(lambda a: f"{a}.status"),
        inner.map(lambda a: f"{a}.__class__"),
        inner.map(lambda a: f"exit({a})"),
        pair.map(lambda p: f"{p[0]}[{p[1]}]"),
        pair.map(lambda p: f"{p[0]}({p[1]})"),
        pair.map(lambda p: f"{p[0]} ** {p[1]}"),
        pair.map(lambda p: f"{p[0]} | {p[1]}"),
        pair.map(lambda p: f"{p[0]} and {p[1]}"),
        pair.map(lambda p: f"{p[0]} == {p[1]}"),
        pair.map(lambda p: f"{p[0]} in {p[1]}"),
        pair.map(lambda p: f"lambda: {p[0]}"),
    )


PLAIN = (str, int, float, bool, type(None), list, FileRef)


@settings(max_examples=400, deadline=None)
@given(st.recursive(atoms, grow, max_leaves=8))
def test_random_expressions_give_plain_values_or_clear_errors(text: str) -> None:
    try:
        value = render("{{ " + text + " }}", NAMESPACE)
    except ExpressionError:
        return
    assert isinstance(value, PLAIN)
    tree = ast.parse(text.strip().replace("my-step", "my_step"), mode="eval")
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    piped = [node.right for node in ast.walk(tree) if isinstance(node, ast.BinOp)]
    assert all(call in piped for call in called)
    assert not any(isinstance(node, (ast.Lambda, ast.Pow)) for node in ast.walk(tree))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}'\"\\ab.[]()|=<>-! \n#0", max_size=60))
def test_any_text_is_a_literal_a_value_or_a_clear_error(text: str) -> None:
    try:
        made = render(text, NAMESPACE)
    except ExpressionError:
        return
    assert "{{" in text or made == text


def test_expressions_are_limited_in_length() -> None:
    assert parse_expression("'" + "x" * (MAX_LENGTH - 2) + "'")
    with pytest.raises(ExpressionError, match="too long"):
        parse_expression("'" + "x" * (MAX_LENGTH - 1) + "'")


@pytest.mark.parametrize(
    "value", ["{{", "a {{ b }} c", "{{ inputs.x }}", {"deep": ["{{ 1 }}", 7]}, "plain", None]
)
def test_what_is_written_literally_renders_as_itself(value: object) -> None:
    assert render(literal(value), Namespace()) == value
