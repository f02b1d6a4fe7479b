"""Nodes of plain values and text."""

import json
import sys
from typing import Any

from comfyui.standin.nodes.node import NodeClass, NodeContext, NodeInputs, NodeResult, text, value


def _pass_on(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult((inputs["value"],))


def _concatenate(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult((inputs["delimiter"].join((inputs["string_a"], inputs["string_b"])),))


def _preview_any(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult(ui={"text": [_as_text(inputs["source"])]})


def _as_text(source: Any) -> str:
    if isinstance(source, (str, int, float)) or source is None:
        return str(source)
    try:
        return json.dumps(source, indent=4)
    except TypeError:
        return str(source)


NODE_CLASSES = (
    NodeClass(
        name="PrimitiveString",
        run=_pass_on,
        required={"value": value("STRING", multiline=False)},
        outputs=("STRING",),
        display_name="String",
        category="utils/primitive",
        python_module="comfy_extras.nodes_primitive",
    ),
    NodeClass(
        name="PrimitiveInt",
        run=_pass_on,
        required={"value": value("INT", min=-sys.maxsize, max=sys.maxsize, control_after_generate=True)},
        outputs=("INT",),
        display_name="Int",
        category="utils/primitive",
        python_module="comfy_extras.nodes_primitive",
    ),
    NodeClass(
        name="PrimitiveFloat",
        run=_pass_on,
        required={"value": value("FLOAT", min=-sys.maxsize, max=sys.maxsize)},
        outputs=("FLOAT",),
        display_name="Float",
        category="utils/primitive",
        python_module="comfy_extras.nodes_primitive",
    ),
    NodeClass(
        name="PrimitiveBoolean",
        run=_pass_on,
        required={"value": value("BOOLEAN")},
        outputs=("BOOLEAN",),
        display_name="Boolean",
        category="utils/primitive",
        python_module="comfy_extras.nodes_primitive",
    ),
    NodeClass(
        name="StringConcatenate",
        run=_concatenate,
        required={
            "string_a": value("STRING", multiline=True),
            "string_b": value("STRING", multiline=True),
            "delimiter": text(multiline=False),
        },
        outputs=("STRING",),
        display_name="Concatenate",
        category="utils/string",
        python_module="comfy_extras.nodes_string",
    ),
    NodeClass(
        name="PreviewAny",
        run=_preview_any,
        required={"source": value("*")},
        display_name="Preview as Text",
        category="utils",
        python_module="comfy_extras.nodes_preview_any",
        is_output=True,
    ),
)
