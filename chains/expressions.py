"""The language inside ``{{ }}``: names, attributes, indexes, literals, comparisons, and/or/not, in, and
``value | filter``.

Python's own parser reads the text, then only whitelisted node types are taken over into the small tree
below. Nothing is called, no attribute of a Python object is ever read: a name with its attributes and
indexes is one ``Path``, which the caller's ``resolve`` looks up.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from chains.filters import FILTERS
from chains.problems import did_you_mean
from contracts.failures import ComfychainError, FailureCategory

MAX_LENGTH = 1_000
MAX_DEPTH = 24

#: Stands for the hyphen of ``my-step`` while Python reads the text, in which it would be a minus sign.
#: A letter that no keyboard has; the grammar has no subtraction, so nothing is lost.
_HYPHEN = "\u01c0"
_QUOTED_OR_HYPHENATED = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<!\w)[^\W\d]\w*(?:-\w+)+|\#""", re.DOTALL
)

_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}


class ExpressionError(ComfychainError):
    """An expression that is not in the language, or one that cannot be computed."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(FailureCategory.INVALID_INPUT, message, hint=hint)


class Undefined(ExpressionError):
    """A reference to a value that does not exist; the only error that ``default`` catches."""


@dataclass(frozen=True)
class Constant:
    value: str | int | float | bool | None


@dataclass(frozen=True)
class Items:
    items: tuple["Expression", ...]


@dataclass(frozen=True)
class Path:
    """``root.key["key"][0]``: a name and what is picked from it."""

    root: str
    keys: tuple[str | int, ...]

    def __str__(self) -> str:
        text = self.root
        for key in self.keys:
            text += f".{key}" if isinstance(key, str) and re.fullmatch(r"[\w-]+", key) else f"[{key!r}]"
        return text


@dataclass(frozen=True)
class Not:
    operand: "Expression"


@dataclass(frozen=True)
class Junction:
    word: Literal["and", "or"]
    operands: tuple["Expression", ...]


@dataclass(frozen=True)
class Comparison:
    """``left < b <= c`` as Python means it."""

    left: "Expression"
    rest: tuple[tuple[str, "Expression"], ...]


@dataclass(frozen=True)
class Filtered:
    value: "Expression"
    name: str
    arguments: tuple["Expression", ...]


Expression: TypeAlias = Constant | Items | Path | Not | Junction | Comparison | Filtered

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}


@lru_cache(maxsize=4096)
def parse_expression(text: str) -> Expression:
    """Raises ``ExpressionError`` for whatever is not in the language, is longer than ``MAX_LENGTH``
    characters or nested deeper than ``MAX_DEPTH``."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"an expression of {len(text)} characters is too long", f"at most {MAX_LENGTH} are possible"
        )
    if not text.strip():
        raise ExpressionError("an expression is empty")
    protected = _QUOTED_OR_HYPHENATED.sub(_protect, text.strip())
    try:
        tree = ast.parse(f"({protected}\n)", mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise ExpressionError(f"cannot read the expression {_shown(text)}: {reason}") from None
    return _take(tree.body, text, 0)


def _protect(match: re.Match[str]) -> str:
    found = match.group()
    if found == "#":
        raise ExpressionError("an expression cannot hold a comment")
    return found if found[0] in "'\"" else found.replace("-", _HYPHEN)


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _take(node: ast.expr, text: str, depth: int) -> Expression:
    if depth > MAX_DEPTH:
        raise ExpressionError(f"the expression {_shown(text)} is nested too deeply")

    def take(inner: ast.expr) -> Expression:
        return _take(inner, text, depth + 1)

    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, (str, int, float)):
            return Constant(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(
            value, (int, float)
        ) and not isinstance(value, bool):
            return Constant(-value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(take(operand))
        case ast.BoolOp(op=op, values=values):
            word: Literal["and", "or"] = "and" if isinstance(op, ast.And) else "or"
            return Junction(word, tuple(take(value) for value in values))
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            rest = tuple(
                (_COMPARISONS[type(op)], take(right)) for op, right in zip(ops, comparators, strict=True)
            )
            return Comparison(take(left), rest)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return Items(tuple(take(item) for item in items))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _filtered(take(left), right, take)
        case ast.Name(id=name) if name in _CONSTANTS:
            return Constant(_CONSTANTS[name])
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return _path(node, text)
    raise ExpressionError(
        f"the expression {_shown(text)} has something that the chain language does not: "
        f"{_WORDS.get(type(node), type(node).__name__)}",
        "it has names, literals, comparisons, and/or/not, in, and value | filter",
    )


_WORDS: dict[type[ast.expr], str] = {
    ast.Call: "a call",
    ast.BinOp: "arithmetic",
    ast.Lambda: "a function",
    ast.JoinedStr: "an f-string",
    ast.IfExp: "if ... else",
    ast.Compare: "the word is",
}


def _filtered(value: Expression, node: ast.expr, take: Callable[[ast.expr], Expression]) -> Filtered:
    match node:
        case ast.Name(id=name):
            arguments: tuple[Expression, ...] = ()
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            arguments = tuple(take(argument) for argument in args)
        case _:
            raise ExpressionError("after | comes the name of a filter", did_you_mean("", FILTERS))
    known = FILTERS.get(name)
    if known is None:
        raise ExpressionError(
            f"there is no filter {name!r}", did_you_mean(name, FILTERS) or "filters: " + ", ".join(FILTERS)
        )
    if len(arguments) != known.arguments:
        raise ExpressionError(f"filter {name!r} takes {known.arguments} arguments, not {len(arguments)}")
    return Filtered(value, name, arguments)


def _path(node: ast.expr, text: str) -> Path:
    keys: list[str | int] = []
    while not isinstance(node, ast.Name):
        match node:
            case ast.Attribute(value=inner, attr=name):
                keys.append(name.replace(_HYPHEN, "-"))
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)) if isinstance(
                key, (str, int)
            ) and not isinstance(key, bool):
                keys.append(key)
            case ast.Subscript(
                value=inner, slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(key)))
            ):
                keys.append(-key)
            case _:
                raise ExpressionError(
                    f"the expression {_shown(text)} picks from something that is not a name",
                    'write step.output.name, step.parameters["3.cfg"] or inputs.name',
                )
        node = inner
    if len(keys) > MAX_DEPTH:
        raise ExpressionError(f"the expression {_shown(text)} is nested too deeply")
    return Path(node.id.replace(_HYPHEN, "-"), tuple(reversed(keys)))


def paths(expression: Expression) -> Iterator[Path]:
    """Every path that the expression reads, in the order written."""
    match expression:
        case Path():
            yield expression
        case Items(items=parts) | Junction(operands=parts):
            for part in parts:
                yield from paths(part)
        case Not(operand=operand):
            yield from paths(operand)
        case Comparison(left=left, rest=rest):
            yield from paths(left)
            for _, right in rest:
                yield from paths(right)
        case Filtered(value=value, arguments=arguments):
            yield from paths(value)
            for argument in arguments:
                yield from paths(argument)


def evaluate(expression: Expression, resolve: Callable[[Path], Any]) -> Any:
    """The expression's value; ``resolve`` looks paths up and raises ``Undefined`` where nothing is there.

    Raises ``ExpressionError`` if a comparison or filter does not fit its values.
    """
    match expression:
        case Constant(value=value):
            return value
        case Path():
            return resolve(expression)
        case Items(items=items):
            return [evaluate(item, resolve) for item in items]
        case Not(operand=operand):
            return not evaluate(operand, resolve)
        case Junction(word=word, operands=operands):
            result: Any = None
            for operand in operands:
                result = evaluate(operand, resolve)
                if bool(result) is (word == "or"):
                    break
            return result
        case Comparison(left=left, rest=rest):
            return _compare(evaluate(left, resolve), rest, resolve)
        case Filtered():
            return _apply(expression, resolve)


def _compare(left: Any, rest: tuple[tuple[str, Expression], ...], resolve: Callable[[Path], Any]) -> bool:
    for sign, expression in rest:
        right = evaluate(expression, resolve)
        try:
            holds = bool(_COMPUTE[sign](left, right))
        except TypeError:
            raise ExpressionError(
                f"cannot compare {type(left).__name__} {sign} {type(right).__name__}",
                "convert one of them with | int, | float or | string",
            ) from None
        if not holds:
            return False
        left = right
    return True


def _apply(expression: Filtered, resolve: Callable[[Path], Any]) -> Any:
    if expression.name == "default":
        try:
            value = evaluate(expression.value, resolve)
        except Undefined:
            value = None
        return evaluate(expression.arguments[0], resolve) if value is None else value
    value = evaluate(expression.value, resolve)
    arguments = [evaluate(argument, resolve) for argument in expression.arguments]
    try:
        return FILTERS[expression.name].apply(value, *arguments)
    except (ValueError, TypeError) as error:
        raise ExpressionError(
            f"filter {expression.name!r} does not fit {type(value).__name__}: {error}"
        ) from None
