"""Names that users, scripts and dashboards hold on to; a test pins each of them.

They are compatibility data: a running chain's history refers to them, so renaming one
breaks every chain that is waiting for a person.
"""

from enum import StrEnum

TASK_QUEUE = "comfychain"
DEFAULT_NAMESPACE = "default"

CHAIN_WORKFLOW = "ChainWorkflow"
STEP_WORKFLOW = "StepWorkflow"

STATUS_QUERY = "status"
PLAN_QUERY = "plan"
DECIDE_UPDATE = "decide"


class Signal(StrEnum):
    """Signals that people and scripts send, to the chain (with ``step``) or to the step itself."""

    APPROVE = "approve"
    REJECT = "reject"
    PICK = "pick"
    EVENT = "event"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY_STEP = "retry_step"
    CANCEL_STEP = "cancel_step"


class InternalSignal(StrEnum):
    """Signals that comfychain sends to itself; each is a doorbell, the truth stands in the database."""

    DECIDED = "decided"
    STEP_PHASE = "step_phase"


class Activity(StrEnum):
    """Activity names; their input and output models stand in ``contracts.activities``."""

    OPEN_CHAIN = "open_chain"
    SKIP_STEPS = "skip_steps"
    RESET_STEPS = "reset_steps"
    SET_CHAIN_PHASE = "set_chain_phase"
    CLOSE_CHAIN = "close_chain"
    PREPARE = "prepare"
    RENDER = "render"
    STOP_PROMPT = "stop_prompt"
    RECORD_DECISION = "record_decision"
    EXPIRE_DECISION = "expire_decision"
    RECORD_REFUSAL = "record_refusal"
    SETTLE = "settle"


class SearchAttribute(StrEnum):
    """Set only where the namespace has them: upserting an unknown one retries for ever."""

    CHAIN = "ComfychainChain"
    STATUS = "ComfychainStatus"
    AWAITING_APPROVAL = "ComfychainAwaitingApproval"
