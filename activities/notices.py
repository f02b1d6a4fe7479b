"""What is said of an event, as data for programs and as a sentence for people."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.webhooks import WebhookEvent
from db import decisions
from db.models import ApprovalRequest, AuditEvent, Chain, StepRun
from db.reminders import REMINDED
from db.steps import ASKED_AGAIN

_EVENTS = {
    "captured": WebhookEvent.WAITING,
    ASKED_AGAIN: WebhookEvent.WAITING,
    "decided": WebhookEvent.DECIDED,
    "chain_completed": WebhookEvent.COMPLETED,
    "chain_failed": WebhookEvent.FAILED,
    "chain_cancelled": WebhookEvent.CANCELLED,
    REMINDED: WebhookEvent.REMINDER,
    "escalated": WebhookEvent.ESCALATED,
}
_CHAIN_ENDS = frozenset({WebhookEvent.COMPLETED, WebhookEvent.FAILED, WebhookEvent.CANCELLED})


def event_of(event: AuditEvent) -> WebhookEvent | None:
    """What webhooks are told of it; None where it is no news for them."""
    told = _EVENTS.get(event.action)
    if told is not None and told not in _CHAIN_ENDS and not (event.details or {}).get("request_id"):
        return None
    return told


async def payload_of(
    session: AsyncSession, event: AuditEvent, told: WebhookEvent, public_url: str
) -> dict[str, Any] | None:
    """``type``, ``timestamp`` and ``data``; None where the chain was deleted or its rows are gone."""
    details = event.details or {}
    chain = await _chain(session, event.chain_id) if event.chain_id else None
    step = await _step(session, event.workflow_id) if event.workflow_id else None
    if (chain is None and step is None) or (chain is not None and chain.deleted_at is not None):
        return None
    data: dict[str, Any] = {"seq": event.seq, "actor": event.actor}
    if chain is not None:
        data["chain"] = {
            "id": chain.id,
            "name": chain.name,
            "temporal_workflow_id": chain.temporal_workflow_id,
            "error": details.get("error") if told in _CHAIN_ENDS else None,
        }
    artifact_id = event.artifact_id
    if step is not None:
        data["step"] = {"id": step.step_id or step.workflow_name, "workflow_id": step.id}
        artifact_id = artifact_id or step.latest_artifact_id
    if request_id := details.get("request_id"):
        data["request"] = await _request(session, request_id)
    if told is WebhookEvent.DECIDED:
        data["decision"] = await _decision(session, details["request_id"])
    data["artifact_id"] = artifact_id
    data["url"] = f"{public_url}/review/" + (
        f"artifacts/{quote(artifact_id, safe='')}" if artifact_id else f"chains/{event.chain_id}"
    )
    return {"type": told, "timestamp": event.at.isoformat(), "data": data}


async def _chain(session: AsyncSession, chain_id: str) -> Any:
    """Its columns but for definition and plan, which can be large; None if it is not there."""
    columns = (Chain.id, Chain.name, Chain.temporal_workflow_id, Chain.deleted_at)
    return (await session.execute(select(*columns).where(Chain.id == chain_id))).one_or_none()


async def _step(session: AsyncSession, step_run_id: str) -> Any:
    """Some of its columns; None if it is not there."""
    columns = (StepRun.id, StepRun.step_id, StepRun.workflow_name, StepRun.latest_artifact_id)
    return (await session.execute(select(*columns).where(StepRun.id == step_run_id))).one_or_none()


async def _request(session: AsyncSession, request_id: str) -> dict[str, Any] | None:
    request = await session.scalar(select(ApprovalRequest).where(ApprovalRequest.id == request_id))
    if request is None:
        return None
    return {
        "id": request.id,
        "take": request.take,
        "set_sha256": request.set_sha256,
        "requested_at": request.requested_at.isoformat(),
        "due_at": request.due_at.isoformat() if request.due_at else None,
        "on_timeout": request.policy.get("on_timeout") or "hold",
    }


async def _decision(session: AsyncSession, request_id: str) -> dict[str, Any] | None:
    decision = await decisions.get_decision(session, request_id)
    if decision is None:
        return None
    return {
        "id": decision.id,
        "verdict": decision.verdict,
        "decided_by": decision.decided_by,
        "decided_at": decision.decided_at.isoformat(),
        "reason": decision.reason,
        "source": decision.source,
    }


def sentence(payload: dict[str, Any]) -> str:
    """What happened, for people, without a link. Names in it are as people wrote them."""
    data = payload["data"]
    chain, step = data.get("chain") or {}, data.get("step") or {}
    what = " / ".join(name for name in (chain.get("name"), step.get("id")) if name)
    request, decision = data.get("request") or {}, data.get("decision") or {}
    due = f", due {_time(request['due_at'])}" if request.get("due_at") else ""
    match payload["type"]:
        case WebhookEvent.WAITING:
            return f"{what} waits for a decision about take {request.get('take')}{due}"
        case WebhookEvent.REMINDER:
            return f"{what} still waits for a decision about take {request.get('take')}{due}"
        case WebhookEvent.ESCALATED:
            return f"{what}: nobody has decided about take {request.get('take')} in time"
        case WebhookEvent.DECIDED:
            done = {"approve": "approved", "reject": "rejected", "pick": "picked from"}
            by = decision.get("decided_by") or "somebody unnamed"
            reason = f": {decision['reason']}" if decision.get("reason") else ""
            return f"{what} was {done.get(decision.get('verdict', ''), 'decided')} by {by}{reason}"
        case WebhookEvent.COMPLETED:
            return f"{what} is completed"
        case WebhookEvent.FAILED:
            return f"{what} has failed: {chain.get('error') or 'no reason was given'}"
        case WebhookEvent.CANCELLED:
            return f"{what} was cancelled"
    return f"a test of this webhook, asked for by {data.get('actor')}"


def slack_body(payload: dict[str, Any]) -> dict[str, Any]:
    """As Slack's incoming webhooks take it; nothing that people wrote can mention anybody or be a link."""
    text = sentence(payload).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": f"{text}\n<{payload['data']['url']}|Open the review>"}


def _time(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M} UTC"
