"""Graphs that are looked up by name while a chain is loaded, so that one pass reports every problem."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from contracts.failures import ComfychainError

Graph = dict[str, Any]


class LookedUpGraphs(Mapping[str, Graph]):
    """``given`` graphs first, then what ``find`` answers for a name; it may raise ``ComfychainError``.

    Iterating gives those that were asked for and found. One that is there but cannot be read is "in" it:
    the loader then meets the error where it knows the place.
    """

    def __init__(
        self, find: Callable[[str], Mapping[str, Graph]], given: Mapping[str, Graph] | None = None
    ) -> None:
        self._find = find
        self._known: dict[str, Graph] = dict(given or {})

    def __getitem__(self, name: str) -> Graph:
        if name not in self._known:
            self._known |= self._find(name)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        try:
            return super().__contains__(name)
        except ComfychainError:
            return True

    def __bool__(self) -> bool:
        return True  # what is in it is not known before it is asked for

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
