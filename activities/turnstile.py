"""Waiting for a free server inside one worker: first come, first served, among those who want the same."""

import asyncio
import contextlib
from collections.abc import Hashable, Iterator


class Turn:
    """One place in the line; ``called`` once something may have become free for it."""

    def __init__(self, line: "Turnstile", key: Hashable) -> None:
        self._line = line
        self._bell = asyncio.Event()
        self.key = key
        self.tried: frozenset[Hashable] = frozenset()

    @property
    def is_next(self) -> bool:
        """Nobody who wants the same came before."""
        return self._line.first(self.key) is self

    @property
    def called(self) -> bool:
        return self._bell.is_set()

    def call(self, tried: frozenset[Hashable]) -> None:
        self.tried = tried
        self._bell.set()

    def pass_on(self) -> None:
        """No use here: whoever wants the same would fail, too, so the next of another kind is called."""
        if self.called:
            self._bell.clear()
            self._line.free(self.tried | {self.key})

    async def wait(self, seconds: float) -> None:
        """Until called, or that long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._bell.wait()


class Turnstile:
    """A thousand steps of one level wait here; each freed place wakes one of them and not all."""

    def __init__(self) -> None:
        self._line: list[Turn] = []

    @contextlib.contextmanager
    def join(self, key: Hashable) -> Iterator[Turn]:
        """Stand in line until the block ends; a call that was not used goes to the next."""
        turn = Turn(self, key)
        self._line.append(turn)
        try:
            yield turn
        except BaseException:
            self._line.remove(turn)
            if turn.called:
                self.free(turn.tried)
            raise
        else:
            self._line.remove(turn)

    def first(self, key: Hashable) -> Turn | None:
        return next((turn for turn in self._line if turn.key == key), None)

    def free(self, tried: frozenset[Hashable] = frozenset()) -> None:
        """A place may have become free: call who waits longest and wants none of ``tried``."""
        for turn in self._line:
            if not turn.called and turn.key not in tried:
                turn.call(tried)
                return
