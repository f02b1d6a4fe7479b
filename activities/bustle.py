"""How busy a worker is with steps: short ones in close order leave no room for work that can wait."""

import math
import time


class Bustle:
    """Renders stir it when they begin and when they end. A long render alone leaves the worker calm: it is
    the server that works then."""

    def __init__(self) -> None:
        self._stirred_at = -math.inf

    def stir(self) -> None:
        self._stirred_at = time.monotonic()

    @property
    def calm_seconds(self) -> float:
        """How long nothing has stirred it."""
        return time.monotonic() - self._stirred_at
