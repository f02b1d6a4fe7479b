"""The tables. ``Base.metadata`` and the migrations describe the same schema; a test holds them equal."""

from db.models.access import IdempotencyKey, ReviewerLink, Token
from db.models.artifact import Artifact, ArtifactTransfer, Upload
from db.models.attempt import Attempt
from db.models.base import Base
from db.models.chain import Chain, ChainLabel
from db.models.record import AuditEvent, Document, InputFile, OutboxMessage
from db.models.rendition import Rendition
from db.models.review import ApprovalRequest, Decision, Note
from db.models.server import Server
from db.models.step import OutputSetMember, Slot, StepRun, Take
from db.models.webhook import Delivery, Webhook

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
    "Delivery",
    "Document",
    "IdempotencyKey",
    "InputFile",
    "Note",
    "OutboxMessage",
    "OutputSetMember",
    "Rendition",
    "ReviewerLink",
    "Server",
    "Slot",
    "StepRun",
    "Take",
    "Token",
    "Upload",
    "Webhook",
]
