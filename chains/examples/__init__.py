"""The shipped chains: ``*.yaml`` here, and the graphs that they name in ``graphs/``."""
