"""The ``comfychain`` command: one file per group of commands, loaded when the group is used."""

from comfychain.cli.app import main

__all__ = ["main"]
