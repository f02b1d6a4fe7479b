"""The tables. ``Base.metadata`` and the migrations describe the same schema; a test holds them equal."""

from db.models.artifact import Artifact, ArtifactTransfer, Upload
from db.models.attempt import Attempt
from db.models.base import Base
from db.models.chain import Chain, ChainLabel
from db.models.record import AuditEvent, Document, InputFile, OutboxMessage
from db.models.review import ApprovalRequest, Decision
from db.models.server import Server
from db.models.step import OutputSetMember, Slot, StepRun, Take

__all__ = [
    "ApprovalRequest",
    "Artifact",
    "ArtifactTransfer",
    "Attempt",
    "AuditEvent",
    "Base",
    "Chain",
    "ChainLabel",
    "Decision",
    "Document",
    "InputFile",
    "OutboxMessage",
    "OutputSetMember",
    "Server",
    "Slot",
    "StepRun",
    "Take",
    "Upload",
]
