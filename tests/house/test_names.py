"""Names that users, scripts, dashboards and running chains hold on to.

A chain that waits for a person has these in its history: changing one here breaks it there.
"""

from contracts import names
from contracts.failures import FailureCategory


def test_temporal_names_stay() -> None:
    assert names.TASK_QUEUE == "comfychain"
    assert names.DEFAULT_NAMESPACE == "default"
    assert (names.CHAIN_WORKFLOW, names.STEP_WORKFLOW) == ("ChainWorkflow", "StepWorkflow")
    assert (names.STATUS_QUERY, names.PLAN_QUERY, names.DECIDE_UPDATE) == ("status", "plan", "decide")


def test_signals_stay() -> None:
    assert set(names.Signal) == {
        "approve",
        "reject",
        "pick",
        "event",
        "pause",
        "resume",
        "retry_step",
        "cancel_step",
    }
    assert set(names.InternalSignal) == {"decided", "step_phase"}


def test_activities_stay() -> None:
    assert set(names.Activity) == {
        "open_chain",
        "skip_steps",
        "reset_steps",
        "set_chain_phase",
        "close_chain",
        "prepare",
        "render",
        "stop_prompt",
        "record_decision",
        "expire_decision",
        "record_refusal",
        "settle",
    }


def test_search_attributes_stay() -> None:
    assert set(names.SearchAttribute) == {
        "ComfychainChain",
        "ComfychainStatus",
        "ComfychainAwaitingApproval",
    }


def test_failure_categories_only_grow() -> None:
    """They stand in rows and in histories as error types."""
    assert set(FailureCategory) >= {
        "invalid_input",
        "already_used",
        "not_found",
        "invalid_graph",
        "missing_node",
        "missing_model",
        "node_error",
        "out_of_memory",
        "interrupted",
        "lost",
        "timeout",
        "no_server",
        "server_busy",
        "server_refused",
        "upload_too_large",
        "corrupt",
        "no_output",
        "storage_full",
        "storage_unavailable",
        "database_busy",
        "rejected",
        "approval_timeout",
        "cancelled",
        "step_failed",
        "stale",
        "early",
        "late",
        "internal",
    }
