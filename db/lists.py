"""The lists that the API pages through. What is deleted, or of a deleted chain, is in none of them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, and_, bindparam, exists, func, or_, select, text

from db.listing import Listing, contains, text_value, time_value
from db.models import ApprovalRequest, Artifact, ArtifactTransfer, Chain, ChainLabel, StepRun
from db.statements import table_of

#: A list can be narrowed by so many labels at once.
MAX_LABELS = 8

#: A text output may have a megabyte; a list shows how it begins.
_SHOWN_CHARACTERS = 2_000

_CHAINS = table_of(Chain)
_STEPS = table_of(StepRun)
_ARTIFACTS = table_of(Artifact)
_TRANSFERS = table_of(ArtifactTransfer)
_LABELS = table_of(ChainLabel)
_REQUESTS = table_of(ApprovalRequest)

# Spelled as the partial indexes spell it, or SQLite does not see that they serve.
_UNSETTLED = text("workflows.status IN ('queued', 'executing')")
_ASKED = text("approval_requests.state = 'pending'")


def label_filters(labels: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Labels as filters of a list; all of them must match. At most ``MAX_LABELS`` have a name here."""
    return {f"label_{number}": (key, value) for number, (key, value) in enumerate(labels.items())}


def _columns(table: Table, *names: str) -> dict[str, ColumnElement[Any]]:
    return {name: table.c[name] for name in names}


def _by_labels(chain_id: ColumnElement[Any]) -> dict[str, ColumnElement[bool]]:
    return {
        f"label_{number}": chain_id.in_(
            select(_LABELS.c.chain_id).where(
                _LABELS.c.key == text_value(f"label_{number}_0"),
                _LABELS.c.value == text_value(f"label_{number}_1"),
            )
        )
        for number in range(MAX_LABELS)
    }


def _is(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return and_(column == text_value(name))


def _between(column: ColumnElement[Any]) -> dict[str, ColumnElement[bool]]:
    return {"since": column >= time_value("since"), "until": column < time_value("until")}


def _of_chain(chain_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Of the chain with this id or Temporal workflow id, or of the chains with this name."""
    named = or_(
        _is(_CHAINS.c.id, "chain"),
        _is(_CHAINS.c.temporal_workflow_id, "chain"),
        _is(_CHAINS.c.name, "chain"),
    )
    return chain_id.in_(select(_CHAINS.c.id).where(named))


def _shown_chain(chain_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return ~exists().where(_CHAINS.c.id == chain_id, _CHAINS.c.deleted_at.is_not(None))


#: ``ChainSummary``; newest first by ``started_at``.
CHAINS = Listing(
    {
        **_columns(
            _CHAINS,
            *("id", "name", "description", "temporal_workflow_id", "temporal_run_id", "status", "phase"),
            *("current_level", "started_at", "started_by", "completed_at", "error_category"),
            *("error_message", "labels"),
        ),
        "waiting_for_approval": select(func.count())
        .select_from(_STEPS.join(_REQUESTS, and_(_REQUESTS.c.workflow_id == _STEPS.c.id, _ASKED)))
        .where(_STEPS.c.chain_id == _CHAINS.c.id, _UNSETTLED)
        .scalar_subquery(),
    },
    _CHAINS,
    at="started_at",
    shown=_CHAINS.c.deleted_at.is_(None),
    filters={
        "id": _is(_CHAINS.c.id, "id"),
        "name": _is(_CHAINS.c.name, "name"),
        "status": _is(_CHAINS.c.status, "status"),
        "executing": and_(text("chains.status LIKE 'executing%'"), bindparam("executing") == 1),
        "phase": _is(_CHAINS.c.phase, "phase"),
        "started_by": _is(_CHAINS.c.started_by, "started_by"),
        "approval": exists().where(
            _STEPS.c.chain_id == _CHAINS.c.id,
            _UNSETTLED,
            _REQUESTS.c.workflow_id == _STEPS.c.id,
            _is(_REQUESTS.c.state, "approval"),
        ),
        "text": or_(
            contains(_CHAINS.c.name, "text"),
            contains(_CHAINS.c.description, "text"),
            contains(_CHAINS.c.temporal_workflow_id, "text"),
        ),
        **_between(_CHAINS.c.started_at),
        **_by_labels(_CHAINS.c.id),
    },
)

#: ``WorkflowSummary``; newest first by ``queued_at``.
STEP_RUNS = Listing(
    _columns(
        _STEPS,
        *("id", "chain_id", "step_id", "workflow_name", "status", "phase", "level", "position", "take"),
        *("server_address", "prompt_id", "latest_artifact_id", "wait_reason", "progress", "needs"),
        *("queued_at", "started_at", "completed_at", "error_category", "error_message", "labels"),
    ),
    _STEPS,
    at="queued_at",
    shown=_shown_chain(_STEPS.c.chain_id),
    filters={
        "chain": _of_chain(_STEPS.c.chain_id),
        "step": _is(_STEPS.c.step_id, "step"),
        "graph": _is(_STEPS.c.workflow_name, "graph"),
        "status": _is(_STEPS.c.status, "status"),
        "phase": _is(_STEPS.c.phase, "phase"),
        "server": _is(_STEPS.c.server_address, "server"),
        "approval": exists().where(
            _REQUESTS.c.workflow_id == _STEPS.c.id, _is(_REQUESTS.c.state, "approval")
        ),
        "text": or_(
            contains(_STEPS.c.workflow_name, "text"),
            contains(_STEPS.c.step_id, "text"),
            contains(_STEPS.c.error_message, "text"),
        ),
        **_between(_STEPS.c.queued_at),
        **_by_labels(_STEPS.c.chain_id),
    },
)

#: ``ArtifactDetail`` without its question; newest first by ``created_at``.
ARTIFACTS = Listing(
    {
        **_columns(
            _ARTIFACTS,
            *("id", "workflow_id", "filename", "file_type", "file_format", "file_size", "media_type"),
            *("sha256", "slot", "position", "take", "version", "is_latest", "parent_artifact_id"),
            *("approval_status", "approved_by", "approved_at", "rejection_reason", "metadata"),
            *("created_at", "deleted_at"),
        ),
        "text": func.substr(_ARTIFACTS.c.text, 1, _SHOWN_CHARACTERS, type_=Text()),
        **_columns(_STEPS, "chain_id", "step_id"),
    },
    _ARTIFACTS.join(_STEPS, _STEPS.c.id == _ARTIFACTS.c.workflow_id),
    at="created_at",
    shown=_ARTIFACTS.c.deleted_at.is_(None),
    filters={
        "chain": _of_chain(_STEPS.c.chain_id),
        "step": _is(_STEPS.c.step_id, "step"),
        "workflow_id": _is(_ARTIFACTS.c.workflow_id, "workflow_id"),
        "artifact_id": _is(_ARTIFACTS.c.id, "artifact_id"),
        # Without an index: most steps have the same few statuses, and by one all their files would be sorted.
        "status": _is(func.coalesce(_STEPS.c.status, ""), "status"),
        "approval": _is(_ARTIFACTS.c.approval_status, "approval"),
        "file_type": _is(_ARTIFACTS.c.file_type, "file_type"),
        "latest": and_(_ARTIFACTS.c.is_latest, bindparam("latest") == 1),
        "sha256": _is(_ARTIFACTS.c.sha256, "sha256"),
        "text": or_(contains(_ARTIFACTS.c.filename, "text"), contains(_ARTIFACTS.c.text, "text")),
        **_between(_ARTIFACTS.c.created_at),
        **_by_labels(_STEPS.c.chain_id),
    },
)

#: ``TransferDetail``; newest first by ``created_at``.
TRANSFERS = Listing(
    _columns(
        _TRANSFERS,
        *("id", "artifact_id", "source_workflow_id", "target_workflow_id", "target_server"),
        *("target_subfolder", "status", "method", "attempt_id", "uploaded_at", "error_message", "created_at"),
    ),
    _TRANSFERS.join(_ARTIFACTS, _ARTIFACTS.c.id == _TRANSFERS.c.artifact_id).outerjoin(
        _STEPS, _STEPS.c.id == _TRANSFERS.c.target_workflow_id
    ),
    at="created_at",
    shown=and_(_ARTIFACTS.c.deleted_at.is_(None), _shown_chain(_STEPS.c.chain_id)),
    filters={
        "id": _is(_TRANSFERS.c.id, "id"),
        "artifact_id": _is(_TRANSFERS.c.artifact_id, "artifact_id"),
        "source_workflow_id": _is(_TRANSFERS.c.source_workflow_id, "source_workflow_id"),
        "target_workflow_id": _is(_TRANSFERS.c.target_workflow_id, "target_workflow_id"),
        "chain": _of_chain(_STEPS.c.chain_id),
        "server": _is(_TRANSFERS.c.target_server, "server"),
        "status": _is(_TRANSFERS.c.status, "status"),
        **_between(_TRANSFERS.c.created_at),
    },
)
