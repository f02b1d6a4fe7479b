"""``{{ expression }}`` in the values of a chain file: what they refer to, and their values."""

import re
from functools import lru_cache
from typing import Any

from chains.expressions import Expression, ExpressionError, Path, evaluate, parse_expression, paths
from chains.filters import plain_text
from chains.namespace import Namespace, Reference, reference_of, resolve
from contracts.files import FileRef

#: What stands between ``{{`` and ``}}``: quoted text is passed over, so it may hold braces.
_TEMPLATE = re.compile(r"""\{\{((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?!\}\})[^'"])*)\}\}""", re.DOTALL)


@lru_cache(maxsize=4096)
def split(text: str) -> tuple[str | Expression, ...]:
    """``text`` as literal pieces and expressions in turn; empty literal pieces are left out.

    Raises ``ExpressionError`` for ``{{`` without its end and for an expression outside the language.
    """
    pieces: list[str | Expression] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        found = _TEMPLATE.match(text, start)
        if found is None:
            raise ExpressionError(
                f"{{{{ without its }}}} in {text[start : start + 60]!r}",
                "to write the braces themselves: {{ '{{' }}",
            )
        if start > position:
            pieces.append(text[position:start])
        pieces.append(parse_expression(found.group(1)))
        position = found.end()
    if position < len(text):
        pieces.append(text[position:])
    return tuple(pieces)


def references(value: Any) -> list[Reference]:
    """Every reference in the templates of ``value`` (text, or mappings and lists of it), in order.

    Raises ``ExpressionError`` for a template that is not in the language.
    """
    if isinstance(value, dict):
        return [found for item in value.values() for found in references(item)]
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, str) or "{{" not in value:
        return []
    return [
        reference_of(path) for piece in split(value) if not isinstance(piece, str) for path in paths(piece)
    ]


def render(value: Any, namespace: Namespace) -> Any:
    """A copy of ``value`` with its templates filled in.

    A text that is one template and nothing else (white space around it aside) becomes that value, with its
    type; a template among other text becomes text. Raises ``ExpressionError`` if a reference has no value
    (``Undefined``), if a filter or comparison does not fit, and for a file among other text.
    """
    if isinstance(value, dict):
        return {key: render(item, namespace) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, namespace) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    pieces = split(value)
    expressions = [piece for piece in pieces if not isinstance(piece, str)]
    if len(expressions) == 1 and not any(piece.strip() for piece in pieces if isinstance(piece, str)):
        return _value(expressions[0], namespace)
    return "".join(
        piece if isinstance(piece, str) else _as_text(_value(piece, namespace), value) for piece in pieces
    )


def literal(value: Any) -> Any:
    """``value`` written so that rendering it gives it back: text that holds ``{{`` is no template then."""
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [literal(item) for item in value]
    return value.replace("{{", "{{ '{{' }}") if isinstance(value, str) else value


def condition_expression(text: str) -> Expression:
    """The expression of a condition, written with or without ``{{ }}``.

    Raises ``ExpressionError``, also where text stands beside ``{{ }}``.
    """
    if "{{" not in text:
        return parse_expression(text)
    pieces = [piece for piece in split(text) if not isinstance(piece, str) or piece.strip()]
    if len(pieces) != 1 or isinstance(pieces[0], str):
        raise ExpressionError(
            f"a condition is one expression, not {text[:80]!r}", "put all of it inside one {{ }}"
        )
    return pieces[0]


def condition_references(text: str) -> list[Reference]:
    """As ``references``, for a condition."""
    return [reference_of(path) for path in paths(condition_expression(text))]


def evaluate_condition(text: str, namespace: Namespace) -> bool:
    """Whether the condition holds, by Python's rule of truth (empty text, 0 and null are false).

    Raises as ``render`` does.
    """
    return bool(_value(condition_expression(text), namespace))


def _value(expression: Expression, namespace: Namespace) -> Any:
    def look_up(path: Path) -> Any:
        return resolve(reference_of(path), namespace)

    return evaluate(expression, look_up)


def _as_text(value: Any, whole: str) -> str:
    if value is None:
        raise ExpressionError(f"a template in {whole[:80]!r} has no value", "write | default('') after it")
    if isinstance(value, FileRef):
        raise ExpressionError(
            f"a file cannot stand inside other text: {whole[:80]!r}",
            "let the template be the whole value, or take .uri, .id or .sha256 of the file",
        )
    try:
        return plain_text(value)
    except (TypeError, ValueError):
        raise ExpressionError(f"a value in {whole[:80]!r} cannot be written as text") from None
