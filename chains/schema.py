"""The published JSON Schema of chain YAML, for editors.

The YAML language server documents draft 7 while pydantic writes 2020-12, so only constructs of draft 7
leave here: ``definitions``, and no keyword beside ``$ref``, where draft 7 would not see it.
``python -m chains.schema`` prints it; ``chains/chain.schema.json`` is that output.
"""

import json
import sys
from typing import Any

from chains.definition import ChainDefinition
from chains.spelling import APPROVAL_KEYS, STEP_KEYS, TIMEOUT_ACTIONS

_SPELLINGS = {
    "StepDefinition": STEP_KEYS,
    "StepDefaults": {"place": "server"},
    "ApprovalPolicy": {key: name for key, name in APPROVAL_KEYS.items() if not key.endswith("_seconds")},
}


def json_schema() -> dict[str, Any]:
    """The schema as plain data, in draft 7."""
    made = ChainDefinition.model_json_schema(by_alias=True)
    blocks: dict[str, Any] = made.pop("$defs")
    for name, spellings in _SPELLINGS.items():
        properties = blocks[name]["properties"]
        for other, key in spellings.items():
            properties[other] = {**properties[key], "description": f"Another spelling of `{key}`."}
            properties[other].pop("default", None)
    for name in ("StepDefinition", "StepDefaults"):
        blocks[name]["properties"]["requires_approval"] = {
            "type": "boolean",
            "description": "An older spelling of `approval: true`.",
        }
    blocks["ApprovalPolicy"]["properties"]["timeout_hours"] = {
        "type": "number",
        "description": "An older spelling of `timeout`, in hours.",
    }
    action = blocks["ApprovalPolicy"]["properties"]["timeout_action"]
    action["enum"] = [*action["enum"], *TIMEOUT_ACTIONS]
    step = blocks["StepDefinition"]
    step["required"] = ["id"]
    step["anyOf"] = [{"required": ["workflow"]}, {"required": ["graph"]}]
    schema: dict[str, Any] = _draft_7({**made, "definitions": blocks})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **schema,
        "title": "comfychain chain",
    }


def _draft_7(value: Any) -> Any:
    if isinstance(value, list):
        return [_draft_7(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _draft_7(item) for key, item in value.items()}
    reference = made.get("$ref")
    if isinstance(reference, str):
        target = {"$ref": reference.replace("#/$defs/", "#/definitions/")}
        del made["$ref"]
        return {**made, "allOf": [target]} if made else target
    return made


def schema_text() -> str:
    """The published file's text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
