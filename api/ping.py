"""Whether the API answers, for proxies and for whoever waits for its start."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(tags=["ping"])


class Pong(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/ping")
async def ping() -> Pong:
    """Answers anybody, and asks nothing of anything."""
    return Pong()
