"""``artifact approve`` and ``artifact reject``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import comfychain
from comfychain.cli.deciding import LATER, decide, ring
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import Api, AsJson, By, DataDir, pairs
from comfychain.cli.output import note, print_json, say
from comfychain.cli.place import open_place
from comfychain.cli.temporal import person
from contracts.decisions import DecisionAnswer, DecisionInput
from contracts.failures import FailureCategory
from workers.wiring import Resources

if TYPE_CHECKING:
    from comfychain import AsyncClient

ArtifactId = Annotated[str, typer.Argument(metavar="ID", help="The artifact's id.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.")]


def approve(
    id: ArtifactId,
    reason: Reason = "",
    data_dir: DataDir = None,
    api: Api = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Approve the output set that this artifact belongs to; its chain goes on."""
    decision = DecisionInput(verdict="approve", artifact_id=id, reason=reason, decided_by=person(by))
    raise typer.Exit(run(_decide(decision, data_dir, api, as_json)))


def reject(
    id: ArtifactId,
    reason: Reason = "",
    regenerate: Annotated[
        bool | None,
        typer.Option("--regenerate/--no-regenerate", help="Render another take (default: as the step says)."),
    ] = None,
    set_parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change an editable parameter for the next take; JSON or text."
        ),
    ] = None,
    seed: Annotated[
        str | None, typer.Option(help="For the next take: new, increment, keep, or a number.")
    ] = None,
    data_dir: DataDir = None,
    api: Api = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Reject the output set that this artifact belongs to, perhaps for another take."""
    decision = DecisionInput(
        verdict="reject",
        artifact_id=id,
        reason=reason,
        decided_by=person(by),
        regenerate=regenerate,
        parameters=_changes(set_parameter or []),
        seed=None if seed is None else _seed(seed),
    )
    raise typer.Exit(run(_decide(decision, data_dir, api, as_json)))


async def _decide(decision: DecisionInput, data_dir: Path | None, api: str | None, as_json: bool) -> ExitCode:
    async with open_place(api, data_dir, decision.decided_by) as place:
        if isinstance(place, Resources):
            answer = await decide(place, decision)
            delivered = await ring(place) if answer.accepted else False
        else:
            answer, delivered = await _decide_there(place, decision)
    if as_json:
        print_json({**answer.model_dump(mode="json"), "delivered": delivered})
    if not answer.accepted:
        if not as_json:
            note(f"error: refused ({answer.refusal}): {answer.message}")
        refused_as = answer.refusal
        return ExitCode.NOT_FOUND if refused_as == FailureCategory.NOT_FOUND.value else ExitCode.FAILED
    if not as_json:
        done = "approved" if decision.verdict == "approve" else "rejected"
        say(f"{done} by {answer.decided_by}")
    if not delivered:
        note(LATER)
    return ExitCode.DONE


async def _decide_there(client: "AsyncClient", decision: DecisionInput) -> tuple[DecisionAnswer, bool]:
    """What became of it, as the database's own answer has it, and whether the chain has heard of it."""
    assert decision.artifact_id is not None
    try:
        if decision.verdict == "approve":
            made = await client.artifacts.approve(decision.artifact_id, reason=decision.reason)
        else:
            made = await client.artifacts.reject(
                decision.artifact_id,
                reason=decision.reason,
                regenerate=decision.regenerate,
                parameters=decision.parameters,
                seed=decision.seed,
            )
    except (comfychain.Conflict, comfychain.NotFound) as refused:
        winner = {key: value for key, value in refused.details.items() if key in DecisionAnswer.model_fields}
        answer = DecisionAnswer.model_validate(
            {**winner, "accepted": False, "refusal": refused.code, "message": refused.message}
        )
        return answer, False
    answer = DecisionAnswer(
        accepted=True,
        request_id=made.request_id,
        decision_id=made.id,
        verdict=made.verdict,
        decided_by=made.decided_by,
        decided_at=made.decided_at.isoformat(),
        step_run_id=made.workflow_id,
    )
    return answer, made.delivered


def _changes(texts: list[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for key, value in pairs(texts, "--set").items():
        try:
            changes[key] = json.loads(value)
        except ValueError:
            changes[key] = value
    return changes


def _seed(text: str) -> Any:
    if text in ("new", "increment", "keep"):
        return text
    if text.isdecimal():
        return int(text)
    raise typer.BadParameter(f"{text!r} is none of new, increment, keep, and no number", param_hint="--seed")
