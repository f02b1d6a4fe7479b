"""The shipped chains: ``*.yaml`` here, and the graphs that they name in ``graphs/``."""

from pathlib import Path


def example_path() -> Path:
    """The folder of the shipped chains."""
    return Path(__file__).parent
