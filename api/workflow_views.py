"""Step runs as the API answers them: the row, its newest attempt, and what it asks a person."""

from api.question_views import request_detail
from contracts.api import WorkflowDetail
from contracts.chain import SETTLED
from db.models import Attempt, StepRun
from db.questions import Question

_COPIED = set(WorkflowDetail.model_fields) - {"attempt", "server_name", "request", "progress"}


def workflow_detail(
    step: StepRun, attempt: Attempt | None, question: Question | None, *, with_settings: bool = True
) -> WorkflowDetail:
    values = {name: getattr(step, name) for name in _COPIED}
    if not with_settings:
        values["settings"] = None
    goes_on = attempt is not None and attempt.state == "open" and step.status not in SETTLED
    return WorkflowDetail(
        **values,
        attempt=attempt.number if attempt is not None else None,
        server_name=attempt.server_name if attempt is not None else None,
        progress=(attempt.progress if attempt is not None and goes_on else None) or step.progress,
        request=request_detail(question) if question is not None else None,
    )
