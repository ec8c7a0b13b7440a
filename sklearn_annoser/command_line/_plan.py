"""``plan``: tell how long a corpus will take on this machine."""

from __future__ import annotations

import argparse
from typing import Any

from sklearn_annoser._optional import import_transformers
from sklearn_annoser.command_line._arguments import check_extras, positive, positive_number
from sklearn_annoser.planning import Corpus, describe_plan, make_plan


def add(commands: Any) -> None:
    """Add the command that tells how long a corpus will take."""
    command = commands.add_parser("plan", help="tell how long a corpus will take here, from 20 seconds of measurement")
    command.add_argument("--hours", type=positive_number, required=True, help="hours of audio")
    command.add_argument("--annotators", type=positive, required=True, help="annotators of the corpus")
    command.add_argument("--seconds", type=positive_number, default=6.0, help="length of an utterance (default: 6)")
    command.add_argument("--epochs", type=positive, default=30, help="epochs of training (default: 30)")
    command.add_argument("--people", type=positive, default=100, help="new annotators (default: 100)")
    command.add_argument("--budget", type=positive_number, default=20.0, help="seconds to measure (default: 20)")


def run(options: argparse.Namespace) -> None:
    """Measure, and print what to expect."""
    check_extras(import_transformers)
    names = ("hours", "annotators", "seconds", "epochs", "people")
    corpus = Corpus(**{name: getattr(options, name) for name in names})
    print(f"Measuring for about {options.budget:g} seconds ...", flush=True)
    print(describe_plan(corpus, make_plan(corpus, budget=options.budget)))
