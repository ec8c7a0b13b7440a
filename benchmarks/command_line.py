"""What the command lines of the benchmarks have in common."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence


def command_line(description: str | None, *, corpora: Sequence[str] = (), **numbers: int) -> ArgumentParser:
    """Return a parser of one of some corpora, and of whole numbers with their defaults."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    if corpora:
        parser.add_argument("corpus", choices=corpora)
    for name, default in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    return parser
