"""The chain as a picture: where the boxes of the steps stand and how the edges run between them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.review import words
from db.models import StepRun

BOX_WIDTH, BOX_HEIGHT = 208, 84
_GAP_ACROSS, _GAP_DOWN, _MARGIN = 56, 20, 12
#: More boxes than this are a list, not a picture.
MOST_BOXES = 300


@dataclass(frozen=True)
class Told:
    """What the box of a step says: its state in words, a line more, how far it is, and where it leads."""

    state: str
    more: str
    percent: float | None
    url: str
    image: str


@dataclass(frozen=True)
class Box:
    step: StepRun
    x: int
    y: int
    name: str
    state: str
    more: str
    tone: str
    percent: float | None
    url: str
    image: str


@dataclass(frozen=True)
class Edge:
    path: str
    tone: str
    """Of the step that it comes from."""


@dataclass(frozen=True)
class Picture:
    width: int
    height: int
    level_count: int
    boxes: list[Box]
    edges: list[Edge]
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def draw(steps: Sequence[StepRun], told: Mapping[str, Told]) -> Picture | None:
    """One column per level; ``told`` is by step run id. None for a chain with too many steps."""
    if not steps or len(steps) > MOST_BOXES:
        return None
    columns = _columns(steps)
    tallest = max(len(column) for column in columns)
    boxes: dict[str, Box] = {}
    for across, column in enumerate(columns):
        top = (tallest - len(column)) * (BOX_HEIGHT + _GAP_DOWN) // 2
        for down, step in enumerate(column):
            boxes[step.step_id or step.id] = _box(
                step,
                told[step.id],
                _MARGIN + across * (BOX_WIDTH + _GAP_ACROSS),
                _MARGIN + top + down * (BOX_HEIGHT + _GAP_DOWN),
            )
    edges = [
        _edge(boxes[need], box) for box in boxes.values() for need in box.step.needs or [] if need in boxes
    ]
    return Picture(
        width=2 * _MARGIN + len(columns) * (BOX_WIDTH + _GAP_ACROSS) - _GAP_ACROSS,
        height=2 * _MARGIN + tallest * (BOX_HEIGHT + _GAP_DOWN) - _GAP_DOWN,
        level_count=len(columns),
        boxes=list(boxes.values()),
        edges=edges,
    )


def _columns(steps: Sequence[StepRun]) -> list[list[StepRun]]:
    """The steps by level; in each, a step stands near the steps that it needs, so that few edges cross."""
    by_level: dict[int, list[StepRun]] = {}
    for step in steps:
        by_level.setdefault(step.level, []).append(step)
    place: dict[str, float] = {}
    columns = []
    for level in sorted(by_level):
        column = by_level[level]

        def wanted(step: StepRun) -> tuple[float, int]:
            above = [place[need] for need in step.needs or [] if need in place]
            return (sum(above) / len(above) if above else 0.0, step.position)

        column.sort(key=wanted)
        for down, step in enumerate(column):
            place[step.step_id or step.id] = down - (len(column) - 1) / 2
        columns.append(column)
    return columns


def _box(step: StepRun, told: Told, x: int, y: int) -> Box:
    room = 15 if told.image else 24
    return Box(
        step=step,
        x=x,
        y=y,
        name=words.short(step.step_id or step.workflow_name, room),
        state=words.short(told.state, room + 2),
        more=words.short(told.more, room + 4),
        tone=words.tone(step.phase or step.status),
        percent=told.percent,
        url=told.url,
        image=told.image,
    )


def _edge(start: Box, end: Box) -> Edge:
    x1, y1 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2
    x2, y2 = end.x, end.y + BOX_HEIGHT // 2
    bend = max(24, (x2 - x1) // 2)
    return Edge(f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}", words.tone(start.step.status))
