"""What templates may refer to, and how a reference is looked up once the steps before have ended."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from chains.expressions import ExpressionError, Path, Undefined
from chains.problems import did_you_mean
from contracts.files import FileRef

#: One named output of a step: its files, or its texts, in order.
Slot: TypeAlias = tuple[FileRef | str, ...]

FILE_ATTRIBUTES = ("uri", "path", "id", "sha256", "size_bytes")
_STEP_FORMS = "write step.output.NAME, step.status or step.parameters[NAME]"


@dataclass(frozen=True)
class StepView:
    """A settled step as templates see it.

    ``outputs`` holds every name that may be asked for: the declared slots, and the types of what the step
    made (``image``, ``video``, ``audio``, ``text``, ``file``). ``parameters`` are keyed as in the chain file.
    """

    status: str
    outputs: dict[str, Slot] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Namespace:
    inputs: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, StepView] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """What a path means: a run input, or the status, an output or a parameter of a step.

    ``name`` is the input's name or the step's id, ``key`` the output's or parameter's name, ``rest`` what
    is picked from the value, ``text`` the path as written.
    """

    kind: Literal["input", "status", "output", "parameter"]
    name: str
    key: str
    rest: tuple[str | int, ...]
    text: str

    @property
    def step(self) -> str | None:
        """The step it refers to, or None for a run input."""
        return None if self.kind == "input" else self.name


def reference_of(path: Path) -> Reference:
    """Raises ``ExpressionError`` if no reference looks like this."""
    keys, text = path.keys, str(path)
    if path.root == "inputs":
        if not keys or not isinstance(keys[0], str):
            raise ExpressionError(f"{text} does not say which input", "write inputs.NAME")
        return Reference("input", keys[0], "", keys[1:], text)
    if path.root == "tasks":
        if not keys or not isinstance(keys[0], str):
            raise ExpressionError(f"{text} does not say which step", "write tasks.STEP.outputs.NAME")
        step, keys = keys[0], keys[1:]
    else:
        step = path.root
    match keys:
        case ("status",):
            return Reference("status", step, "", (), text)
        case ("parameters", str(key), *rest):
            return Reference("parameter", step, key, tuple(rest), text)
        case ("output" | "outputs", "artifacts", str(key), *rest) | ("output" | "outputs", str(key), *rest):
            _check_picked(rest, text)
            return Reference("output", step, key, tuple(rest), text)
        case ("output" | "outputs",):
            raise ExpressionError(f"{text} does not say which output", "write step.output.NAME")
        case (str(key), *_):
            near = did_you_mean(key, ["output", "outputs", "status", "parameters"])
            raise ExpressionError(f"a step has no {key!r} ({text})", near or _STEP_FORMS)
    raise ExpressionError(f"{text} does not say what of the step", _STEP_FORMS)


def _check_picked(rest: list[str | int], text: str) -> None:
    attributes = rest[1:] if rest and isinstance(rest[0], int) else rest
    if attributes and (len(attributes) > 1 or attributes[0] not in FILE_ATTRIBUTES):
        raise ExpressionError(
            f"an output has no {attributes[-1]!r} ({text})", "it has [index], " + ", ".join(FILE_ATTRIBUTES)
        )


def resolve(reference: Reference, namespace: Namespace) -> Any:
    """The value that ``reference`` has in ``namespace``.

    Raises ``Undefined`` where nothing stands under that name: an unknown step or input, a step that made
    no such output, an index past the last file.
    """
    if reference.kind == "input":
        if reference.name not in namespace.inputs:
            raise Undefined(
                f"the run has no input {reference.name!r}", did_you_mean(reference.name, namespace.inputs)
            )
        return _pick(namespace.inputs[reference.name], reference.rest, reference.text)
    step = namespace.steps.get(reference.name)
    if step is None:
        raise Undefined(
            f"there is no step {reference.name!r} before this one ({reference.text})",
            did_you_mean(reference.name, namespace.steps),
        )
    if reference.kind == "status":
        return step.status
    if reference.kind == "parameter":
        if reference.key not in step.parameters:
            raise Undefined(
                f"step {reference.name!r} has no parameter {reference.key!r}",
                did_you_mean(reference.key, step.parameters),
            )
        return _pick(step.parameters[reference.key], reference.rest, reference.text)
    return _output(reference, step)


def _output(reference: Reference, step: StepView) -> Any:
    slot = step.outputs.get(reference.key, ())
    rest = reference.rest
    index = rest[0] if rest and isinstance(rest[0], int) else 0
    try:
        value = slot[index]
    except IndexError:
        made = ", ".join(f"{name} ({len(values)})" for name, values in step.outputs.items() if values)
        raise Undefined(
            f"step {reference.name!r} ({step.status}) has no such output: {reference.text}",
            f"it made {made}" if made else "it made nothing; | default(...) gives another value",
        ) from None
    return _pick(value, rest[1:] if rest and isinstance(rest[0], int) else rest, reference.text)


def _pick(value: Any, keys: tuple[str | int, ...], text: str) -> Any:
    for key in keys:
        if isinstance(value, FileRef):
            if key not in FILE_ATTRIBUTES:
                raise Undefined(f"a file has no {key!r} ({text})", "it has " + ", ".join(FILE_ATTRIBUTES))
            # A path means the name on the server that will run the step, which only placement knows.
            value = value if key == "path" else getattr(value, str(key))
            continue
        if not isinstance(value, (dict, list)):
            raise Undefined(f"there is nothing at {key!r} in {text}")
        try:
            value = value[key]  # type: ignore[index]
        except (LookupError, TypeError):
            raise Undefined(f"there is nothing at {key!r} in {text}") from None
    return value
