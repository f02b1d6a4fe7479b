"""Identifiers that several folders derive alike."""

import uuid


def step_run_id(chain_id: str, step_id: str) -> str:
    """Id of a chain's step run (a row of ``workflows``): known before any row exists."""
    return str(uuid.uuid5(uuid.UUID(chain_id), step_id))


def prompt_id(step_run: str, number: int) -> str:
    """ComfyUI prompt id of one attempt: nothing of Temporal enters it, so any successor finds the prompt."""
    return str(uuid.uuid5(uuid.UUID(step_run), str(number)))
