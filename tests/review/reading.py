"""The pages as a browser without scripts gets them: the application in this process, and HTML, read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import httpx

from api.backend import ApiOptions
from db.session import Database
from storage.local import LocalStore
from tests.api.serving import application

_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"})


@asynccontextmanager
async def reader(
    database: Database, store: LocalStore, options: ApiOptions | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Ada, who asks the application over ``database``; redirects are not followed."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(database, store, options)),
        base_url="http://localhost",
        headers={"X-Comfychain-By": "ada"},
    ) as client:
        yield client


@asynccontextmanager
async def local_store(folder: Path) -> AsyncIterator[LocalStore]:
    async with LocalStore(folder / "artifacts") as store:
        yield store


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parents: list["Element"]
    text: str = ""

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]

    def inside(self, tag: str) -> bool:
        return any(parent.tag == tag for parent in self.parents)


@dataclass
class Html:
    elements: list[Element] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Tags that do not match."""

    def all(self, tag: str, **wanted: str) -> list[Element]:
        named = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [
            element
            for element in self.elements
            if element.tag == tag
            and all(element.attributes.get(key) == value for key, value in named.items())
        ]

    def one(self, tag: str, **wanted: str) -> Element:
        found = self.all(tag, **wanted)
        assert len(found) == 1, f"{len(found)} {tag} with {wanted}"
        return found[0]

    def ids(self) -> list[str]:
        return [element["id"] for element in self.elements if "id" in element.attributes]

    def form(self, id: str) -> dict[str, str]:
        """What the form of this id would send if its button were pressed, without the button's own value."""
        sent: dict[str, str] = {}
        for element in self.elements:
            if not any(parent.attributes.get("id") == id for parent in element.parents):
                continue
            name, kind = element.attributes.get("name"), element.attributes.get("type", "text")
            if element.tag == "input" and name and kind not in ("radio", "checkbox", "file", "submit"):
                sent[name] = element.attributes.get("value", "")
            elif element.tag == "input" and name and "checked" in element.attributes:
                sent[name] = element.attributes.get("value", "on")
            elif element.tag == "textarea" and name:
                sent[name] = element.text.removeprefix("\n")
            elif element.tag == "option" and "selected" in element.attributes:
                select = next(parent for parent in reversed(element.parents) if parent.tag == "select")
                sent[select["name"]] = element.attributes.get("value", element.text)
        return sent


def read(text: str) -> Html:
    parser = _Parser()
    parser.feed(text)
    parser.close()
    parser.html.problems += [f"<{element.tag}> is never closed" for element in parser.open]
    return parser.html


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.html = Html()
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _value in attrs]
        if len(names) != len(set(names)):
            self.html.problems.append(f"<{tag}> says something twice: {names}")
        element = Element(tag, {name: value or "" for name, value in attrs}, list(self.open))
        self.html.elements.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.html.elements.append(Element(tag, {name: value or "" for name, value in attrs}, list(self.open)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1].tag != tag:
            self.html.problems.append(f"</{tag}> closes {self.open[-1].tag if self.open else 'nothing'}")
        if any(element.tag == tag for element in self.open):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data
