"""The reference of the chain language as Markdown, written from the models and tables that implement it.

``python -m chains.reference`` prints it; ``docs/chain-language.md`` is that output.
"""

import sys
from collections.abc import Iterator
from typing import Any

from chains import document, expressions
from chains.definition import RESERVED_STEP_IDS
from chains.filters import FILTERS
from chains.namespace import FILE_ATTRIBUTES
from chains.policies import OUTPUT_TYPES
from chains.schema import json_schema
from chains.spelling import APPROVAL_KEYS, STEP_KEYS, TIMEOUT_ACTIONS
from contracts.plans import MAX_STEPS

_BLOCKS = {
    "InputSpec": "A run input",
    "StepDefinition": "A step",
    "ApprovalPolicy": "Approval",
    "RetryPolicy": "Retry",
    "Timeouts": "Timeouts",
    "ServerChoice": "Server",
    "OutputSlot": "An output",
    "StepDefaults": "Defaults",
}

_HEAD = """\
# The chain language

<!-- Written by `python -m chains.reference`; change the models, not this page. -->

A chain is a YAML file: a name and steps. Each step runs one ComfyUI graph on one server. Steps that read
each other's outputs form a DAG, which is planned into levels.

```yaml
# yaml-language-server: $schema=chain.schema.json
schema: 2
name: hero-shot
inputs:
  plate: {type: image, required: true}
  look: {type: string, default: "dusk, 35mm"}
steps:
  - id: edit
    workflow: qwen_image_edit
    parameters: {78.image: "{{ inputs.plate }}", 111.prompt: "{{ inputs.look }}"}
    approval: {timeout: 48h, on_rejected: regenerate, editable: [111.prompt]}
  - id: film
    workflow: first_to_video
    parameters: {62.image: "{{ edit.output.image }}", 60.fps: 16}
    outputs: {clip: {node: "61", type: video, primary: true}}
outputs: {final: "{{ film.output.clip }}"}
```

`comfychain chain validate FILE` checks a file and names every problem with its line and column. With
`schema: 2` a key that is not listed here is an error, without it a warning.
"""

_TEMPLATES = """\
## Templates

Any text in `parameters`, `condition` and the chain's `outputs` may hold `{{ expression }}`. A text that is
one template and nothing else becomes the value with its type; a template among other text becomes text,
which a file cannot. A reference to a step adds an edge to the DAG. What refers to nothing is an error
before anything runs.

| form | value |
| --- | --- |
| `{{ inputs.NAME }}` | a run input; null where an optional one was not given |
| `{{ STEP.output.NAME }}`, `{{ STEP.outputs.NAME }}` | the first file (or text) of that output |
| `{{ STEP.output.NAME[1] }}` | another one of it, counted from 0 |
| `{{ STEP.status }}` | `completed`, `failed` or `skipped` |
| `{{ STEP.parameters["3.cfg"] }}` | a parameter that the step ran with |
| `{{ tasks.STEP.outputs.artifacts.NAME.uri }}` | the same as `STEP.output.NAME.uri` |
"""


def reference_markdown() -> str:
    schema = json_schema()
    parts = [_HEAD, *_block("The chain", schema)]
    for name, title in _BLOCKS.items():
        parts += _block(title, schema["definitions"][name])
    parts += [*_names(), _TEMPLATES, *_expressions(), *_spellings(), *_limits()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _block(title: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"## {title}"
    yield schema["description"]
    required = schema.get("required", [])
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key, property_ in schema["properties"].items():
        description = property_.get("description", "")
        if "spelling of" in description:
            continue
        default = "required" if key in required or key == "workflow" else _default(property_)
        rows.append(f"| `{key}` | {_type(property_)} | {default} | {description} |")
    yield "\n".join(rows)


def _default(property_: dict[str, Any]) -> str:
    default = property_.get("default")
    if default in (None, "", [], {}):
        return ""
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type(property_: dict[str, Any]) -> str:
    for word in ("anyOf", "allOf"):
        if word in property_:
            texts = [_type(item) for item in property_[word]]
            return " or ".join(dict.fromkeys(text for text in texts if text != "null"))
    if "$ref" in property_:
        title = _BLOCKS[property_["$ref"].rsplit("/", 1)[-1]]
        return f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
    if "enum" in property_:
        return ", ".join(f"`{value}`" for value in property_["enum"])
    kind = property_.get("type", "any")
    if isinstance(kind, list):
        return "string"
    if kind == "array":
        return f"list of {_type(property_.get('items', {}))}"
    if kind == "object" and isinstance(property_.get("additionalProperties"), dict):
        return f"mapping to {_type(property_['additionalProperties'])}"
    return "mapping" if kind == "object" else str(kind)


def _names() -> Iterator[str]:
    reserved = ", ".join(f"`{name}`" for name in sorted(RESERVED_STEP_IDS))
    yield "## Names"
    yield (
        "Ids of steps, inputs and outputs are 1 to 64 letters, digits, `-` and `_`. No step is called "
        f"{reserved}. A graph is named by its file's stem, `name@version` or `namespace:name:version`, and "
        "looked up in the chain's own `graphs:`, beside the chain file (the same folder, `graphs/`, "
        "`workflows/`), then on `COMFYCHAIN_GRAPHS_PATH`. A parameter is named `node.input`, `Title.input`, "
        "or by an input's name or a node's title where that occurs once in the graph. Durations are "
        "seconds, or numbers with `ms`, `s`, `m`, `h`, `d`, `w`: `90`, `30m`, `1h30m`."
    )


def _expressions() -> Iterator[str]:
    yield (
        "Where a step declares no outputs, and beside those it declares, "
        + ", ".join(f"`{name}`" for name in OUTPUT_TYPES)
        + " name what it made by type. Of a file, "
        + ", ".join(f"`.{name}`" for name in FILE_ATTRIBUTES)
        + " can be taken; `.path` is the name under which the file stands on the server that runs the step."
    )
    yield "## Expressions"
    yield (
        "Names with their attributes and indexes, text, numbers, `true`, `false`, `null`, lists, comparisons "
        "(`==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`), `and`, `or`, `not`, parentheses, and "
        "`value | filter`. There are no calls and no arithmetic, so `my-step.output.image` is a name. A step "
        'whose id is no name in Python is written `tasks["1st"]`. `condition` is one expression, with or '
        "without `{{ }}`; empty text, 0 and null are false. `a and b or c` gives `b` where `a` is true, and "
        "`c` elsewhere."
    )
    rows = ["| filter | gives |", "| --- | --- |"]
    rows += [
        f"| `{name}{'(x)' if item.arguments else ''}` | {item.description} |"
        for name, item in FILTERS.items()
    ]
    yield "\n".join(rows)
    yield "`default` also stands in for an output that a skipped step did not make."


def _spellings() -> Iterator[str]:
    yield "## Other spellings"
    yield (
        "`requires_approval: true` is `approval: true`; it and an `approval` block may also stand inside "
        "`parameters`. `timeout_hours` is `timeout` in hours."
    )
    rows = ["| written | read as |", "| --- | --- |"]
    for other, key in {**STEP_KEYS, **APPROVAL_KEYS, **TIMEOUT_ACTIONS}.items():
        if not other.endswith("_seconds"):
            rows.append(f"| `{other}` | `{key}` |")
    yield "\n".join(rows)


def _limits() -> Iterator[str]:
    yield "## Limits"
    yield (
        f"A file has at most {document.MAX_BYTES:,} bytes, is nested at most {document.MAX_DEPTH} deep, uses "
        f"at most {document.MAX_ALIASES} aliases, and has no tags, no merge keys (`<<`) and no key twice. A "
        f"chain has at most {MAX_STEPS:,} steps. An expression has at most {expressions.MAX_LENGTH:,} "
        "characters. Keys are text as written; a number with leading zeros (`007`) is text."
    )


if __name__ == "__main__":
    sys.stdout.write(reference_markdown())
