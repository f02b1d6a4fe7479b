"""What a node is to the stand-in: its ``/object_info`` entry and the function that runs it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from comfyui.standin.folders import Folders

#: An input as ``/object_info`` spells it: ``[type or choices, options]``.
InputSpec = tuple[str | list[str], dict[str, Any]]

NodeInputs = dict[str, Any]


class NodeContext(Protocol):
    """What a running node may use of its server."""

    @property
    def folders(self) -> Folders: ...

    @property
    def graph(self) -> dict[str, Any]:
        """The prompt being run, which save nodes write into their files."""

    @property
    def extra_pnginfo(self) -> dict[str, Any] | None: ...

    @property
    def temp_suffix(self) -> str:
        """Random letters in the names of temporary files."""

    def progress(self, value: int, maximum: int, preview_png: bytes | None = None) -> None:
        """Report a step of this node's work, with a picture of it; raises if the prompt was interrupted."""


@dataclass(frozen=True)
class NodeResult:
    """Values for the output slots, and what the node shows (``None``: nothing)."""

    outputs: tuple[Any, ...] = ()
    ui: dict[str, list[Any]] | None = None


@dataclass(frozen=True)
class NodeClass:
    """A node class under ComfyUI's own name.

    ``choices`` computes the options of a file input when asked, ``check`` answers what is wrong with the
    inputs as ``(input name, message)`` or None, ``fingerprint`` stands for the files that the node reads.
    """

    name: str
    run: Callable[[NodeContext, NodeInputs], NodeResult]
    required: dict[str, InputSpec] = field(default_factory=dict)
    optional: dict[str, InputSpec] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    output_names: tuple[str, ...] | None = None
    category: str = "image"
    display_name: str = ""
    description: str = ""
    python_module: str = "nodes"
    is_output: bool = False
    choices: dict[str, Callable[[Folders], list[str]]] = field(default_factory=dict)
    check: Callable[[Folders, NodeInputs], tuple[str, str] | None] | None = None
    fingerprint: Callable[[Folders, NodeInputs], str] | None = None

    def input_spec(self, name: str, folders: Folders) -> InputSpec | None:
        """Type and options of an input, with the choices of file inputs filled in."""
        spec = self.required.get(name) or self.optional.get(name)
        if spec is None or name not in self.choices:
            return spec
        options = self.choices[name](folders)
        if spec[0] == "COMBO":
            return "COMBO", {"multiselect": False, "options": options, **spec[1]}
        return options, spec[1]

    def info(self, folders: Folders) -> dict[str, Any]:
        """This class's entry of ``/object_info``."""
        groups = {"required": self.required, "optional": self.optional}
        inputs: dict[str, Any] = {
            group: {name: _listed(self.input_spec(name, folders)) for name in specs}
            for group, specs in groups.items()
            if specs
        }
        if self.hidden:
            inputs["hidden"] = self.hidden
        newer = self.python_module != "nodes"
        entry: dict[str, Any] = {
            "input": inputs,
            "input_order": {group: list(names) for group, names in inputs.items()},
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.output_names or self.outputs),
        }
        if newer:
            entry |= {"output_tooltips": [None] * len(self.outputs), "output_matchtypes": None}
        entry |= {
            "name": self.name,
            "display_name": self.display_name or self.name,
            "description": self.description,
            "python_module": self.python_module,
            "category": self.category,
            "output_node": self.is_output,
        }
        if newer:
            entry |= {"deprecated": False, "experimental": False, "api_node": False}
        return entry


def integer(default: int, minimum: int, maximum: int, **options: Any) -> InputSpec:
    return "INT", {"default": default, "min": minimum, "max": maximum, **options}


def number(default: float, minimum: float, maximum: float, **options: Any) -> InputSpec:
    return "FLOAT", {"default": default, "min": minimum, "max": maximum, **options}


def text(default: str = "", **options: Any) -> InputSpec:
    return "STRING", {"default": default, **options}


def choice(*options: str, **more: Any) -> InputSpec:
    return list(options), more


def value(type_name: str, **options: Any) -> InputSpec:
    return type_name, options


def _listed(spec: InputSpec | None) -> list[Any]:
    return [] if spec is None else list(spec)
