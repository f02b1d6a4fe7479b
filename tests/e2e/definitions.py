"""Small graphs and chains in as few words as a test needs. Frames are 16 pixels wide: quick, and real."""

from typing import Any

Document = dict[str, Any]

FRAME: Document = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 8421504},
        "_meta": {"title": "Frame"},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "frame"}},
}

#: Its pixels follow from its seed, so that another take is another file.
NOISE: Document = {
    "1": FRAME["1"],
    "2": {"class_type": "ImageAddNoise", "inputs": {"image": ["1", 0], "seed": 7, "strength": 0.5}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "noise"}},
}

INVERT: Document = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}

#: Two nodes that save: the frame and its inverse.
TWO_SAVES: Document = {
    "1": FRAME["1"],
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "8": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "plain"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}

WORDS: Document = {
    "1": {"class_type": "PrimitiveString", "inputs": {"value": "a harbour"}},
    "9": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}

GRAPHS: dict[str, Document] = {
    "frame": FRAME,
    "noise": NOISE,
    "invert": INVERT,
    "two_saves": TWO_SAVES,
    "words": WORDS,
}


def step(step_id: str, workflow: str = "frame", **keys: Any) -> Document:
    return {"id": step_id, "workflow": workflow, **keys}


def after(step_id: str, source: str, **keys: Any) -> Document:
    """A step that inverts what ``source`` made."""
    return step(step_id, "invert", parameters={"1.image": f"{{{{ {source}.output.image }}}}"}, **keys)


def chain(*steps: Document, **keys: Any) -> Document:
    """A start input of ``ChainWorkflow``: an inline definition, its graphs sent along."""
    used = {name: GRAPHS[name] for name in {item["workflow"] for item in steps} if name in GRAPHS}
    definition = {"schema": 2, "name": "test", "steps": list(steps), **keys}
    return {"definition": definition, "graphs": used}
