"""The chains that are run: steps whose server answers at once, since their pictures are tiny."""

from typing import Any

Document = dict[str, Any]

_FRAME: Document = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "frame"}},
}
_INVERT: Document = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}


def linear(length: int) -> Document:
    """Each step takes the picture of the one before: it is uploaded, inverted, downloaded."""
    return _chain("linear", [_frame("s0"), *(_after(f"s{n}", f"s{n - 1}") for n in range(1, length))])


def wide(width: int) -> Document:
    """One picture, and then one level of ``width`` steps that each invert it."""
    return _chain("wide", [_frame("root"), *(_after(f"s{n}", "root") for n in range(width))])


def waiting() -> Document:
    """One step that waits for a person."""
    return _chain("waiting", [{**_frame("frame"), "approval": True}])


def bulk() -> Document:
    """A step that makes a large file, and one that is given it."""
    return _chain("bulk", [_frame("make"), _after("take", "make")])


def _chain(name: str, steps: list[Document]) -> Document:
    return {
        "definition": {"schema": 2, "name": name, "steps": steps},
        "graphs": {"frame": _FRAME, "invert": _INVERT},
    }


def _frame(step_id: str) -> Document:
    return {"id": step_id, "workflow": "frame"}


def _after(step_id: str, source: str) -> Document:
    template = f"{{{{ {source}.output.image }}}}"
    return {"id": step_id, "workflow": "invert", "parameters": {"1.image": template}}
