"""The command line: one's own data in, models, tables and pages out; a file a command."""

from sklearn_annoser.command_line._main import main

__all__ = [
    "main",
]
