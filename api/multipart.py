"""``multipart/form-data`` read as it comes: no part is kept, neither in memory nor in a file of its own."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from contracts.failures import ComfychainError, FailureCategory

MEDIA_TYPE = "multipart/form-data"
MAX_PARTS = 32


@dataclass(frozen=True)
class Part:
    """The beginning of a part; ``filename`` is None for a plain field."""

    name: str
    filename: str | None


async def parts(content_type: str, stream: AsyncIterator[bytes]) -> AsyncGenerator[Part | bytes, None]:
    """Each part's beginning, then its bytes in pieces.

    Raises ``ComfychainError`` (invalid_input) for what is no such form, is cut off, or has too many parts.
    """
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if media_type.decode("latin-1").lower() != MEDIA_TYPE or not boundary:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            "a file is sent as multipart/form-data",
            hint="such as curl -F file=@picture.png",
        )
    reading = _Reading()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": reading.begin,
            "on_header_field": reading.header_field,
            "on_header_value": reading.header_value,
            "on_header_end": reading.header_end,
            "on_headers_finished": reading.headers_finished,
            "on_part_data": reading.data,
            "on_end": reading.end,
        },
    )
    try:
        async for piece in stream:
            if piece:
                parser.write(piece)
            while reading.found:
                yield reading.found.popleft()
        parser.finalize()
    except FormParserError as error:
        raise ComfychainError(FailureCategory.INVALID_INPUT, f"the form cannot be read: {error}") from error
    if not reading.ended:
        raise ComfychainError(FailureCategory.INVALID_INPUT, "the form ends before its last boundary")


class _Reading:
    """What the parser calls; it gathers what one piece of the stream held."""

    def __init__(self) -> None:
        self.found: deque[Part | bytes] = deque()
        self.ended = False
        self._count = 0
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}

    def begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise ComfychainError(FailureCategory.INVALID_INPUT, f"a form has at most {MAX_PARTS} parts")
        self._headers = {}

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise ComfychainError(FailureCategory.INVALID_INPUT, "a part of the form has no name")
        filename = options.get(b"filename")
        self.found.append(
            Part(
                options[b"name"].decode(errors="replace"),
                None if filename is None else filename.decode(errors="replace"),
            )
        )

    def data(self, data: bytes, start: int, end: int) -> None:
        self.found.append(data[start:end])

    def end(self) -> None:
        self.ended = True
