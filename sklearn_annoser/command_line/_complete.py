"""``complete``: fill the gaps of a corpus."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_annoser.command_line._arguments import (
    add_clip_options,
    add_encoder_options,
    add_output_options,
    add_table_options,
    positive_number,
)
from sklearn_annoser.command_line._clips import clips_of_corpus
from sklearn_annoser.command_line._models import check_kinds, load_model, set_encoders, vectors_in
from sklearn_annoser.command_line._tables import FORMATS, read_corpus
from sklearn_annoser.command_line._train import tell_samples
from sklearn_annoser.command_line._writing import check_free, long_table, write_table

EXAMPLES = """examples:
  python -m sklearn_annoser complete ratings.csv --model model.skops --audio clips --out completed.csv

A row for each sample and annotator: what was given as it was (given_... is 1), the others as they are expected from
what others gave to the same sample and from the model, with the bounds of an interval that holds 80 % of them. The
model may be of the same corpus, as train makes it, or of another one."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("complete", help="fill in the ratings that are missing", epilog=EXAMPLES)
    command.add_argument("ratings", type=Path, metavar="TABLE", help="all ratings that there are")
    command.add_argument("--model", type=Path, required=True, help="what train wrote")
    command.add_argument("--level", type=positive_number, default=0.8, help="of the intervals (default: 0.8)")
    add_output_options(command, "the completed ratings, as CSV")
    add_table_options(command, tuple(FORMATS))
    add_clip_options(command)
    add_encoder_options(command)


def run(options: argparse.Namespace) -> None:
    """Read, enrol everybody, fill in, write."""
    check_free(options.out, force=options.force)
    model = load_model(options.model)
    check_kinds(model.kinds)
    corpus = read_corpus(options.ratings, options, model=model)
    print(corpus, flush=True)
    clips, corpus = clips_of_corpus(corpus, model.kinds, options)
    tell_samples(model.kinds, clips, options)
    with vectors_in(options) as cache:
        set_encoders(model, options, cache)
        mapper = model.map(clips.X, corpus.ratings)
        completed = mapper.complete(clips.X, corpus.ratings, level=options.level)
    outputs = mapper.outputs_
    table = long_table(clips.labels, mapper.annotators_, outputs, completed.ratings.to_dense())
    for kind, bound in (("low", completed.low), ("high", completed.high)):
        table[[f"{kind}_{output}" for output in outputs]] = bound.to_dense().reshape(-1, len(outputs))
    given = np.isfinite(mapper.check_ratings(corpus.ratings).to_dense())
    table[[f"given_{output}" for output in outputs]] = given.reshape(-1, len(outputs)).astype(int)
    write_table(options.out, table)
    print(f"{int((~given).sum()):,} of {given.size:,} ratings filled in: {options.out}")
