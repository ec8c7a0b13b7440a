"""``train``: learn every annotator of a corpus."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sklearn_annoser.command_line._arguments import (
    add_clip_options,
    add_encoder_options,
    add_output_options,
    add_table_options,
    positive,
    positive_number,
)
from sklearn_annoser.command_line._clips import clips_of_corpus, kinds_of
from sklearn_annoser.command_line._models import check_kinds, new_model, save_model, vectors_in
from sklearn_annoser.command_line._tables import FORMATS, read_corpus
from sklearn_annoser.command_line._writing import check_free, size_of

EXAMPLES = """examples:
  a table with the columns sample, annotator, activation, valence; clips/007.wav is sample 007
    python -m sklearn_annoser train ratings.csv --audio clips --scale 1 7 --out model.skops
  other names of columns, with an encoder that lies in a folder, folds that keep speakers together
    python -m sklearn_annoser train r.csv --sample clip --annotator-column who --outputs anger joy --scale 0 10 \\
        --audio clips --speech-model wavlm/ --samples clips.csv --group speaker --out model.skops
  text; ready features; the export of a tool; a corpus
    python -m sklearn_annoser train r.csv --samples texts.csv --text text --scale 1 25 --out model.skops
    python -m sklearn_annoser train r.csv --features vectors.npz --scale 1 7 --out model.skops
    python -m sklearn_annoser train export.json --format label-studio --sample audio --audio clips --out model.skops
    python -m sklearn_annoser train MSP-PODCAST-1.11 --format msp-podcast --out model.skops"""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("train", help="learn every annotator of your corpus", epilog=EXAMPLES)
    command.add_argument("table", type=Path, metavar="TABLE", help="file of ratings, or folder of a corpus")
    add_output_options(command, "the model")
    add_table_options(command, tuple(FORMATS))
    add_clip_options(command)
    add_encoder_options(command, for_training=True)
    learning = command.add_argument_group("learning")
    learning.add_argument("--lr", type=positive_number, default=1e-3, help="learning rate (default: 0.001)")
    learning.add_argument("--epochs", type=positive, default=500, help="most epochs (default: 500)")
    learning.add_argument("--min-ratings", type=positive, default=1, help="of an annotator to be learned (default: 1)")
    learning.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")


def run(options: argparse.Namespace) -> None:
    """Read, encode, learn, write."""
    check_free(options.out, force=options.force)
    if options.features is None:  # what is asked for can be told without reading anything
        asked = {"path": "audio"} if options.audio is not None else {}
        check_kinds(asked | ({"text": "text"} if options.text is not None else {}))
    corpus = read_corpus(options.table, options)
    print(corpus, flush=True)
    kinds = kinds_of(corpus, options)
    check_kinds(kinds)
    clips, corpus = clips_of_corpus(corpus, kinds, options)
    tell_samples(kinds, clips, options)
    with vectors_in(options) as cache:
        model = new_model(kinds, options, cache)
        groups = {} if corpus.groups is None else {"committee__groups": corpus.groups}
        model.fit(clips.X, corpus.ratings, **groups)
    save_model(model, options.out)
    regressor = model[-1]
    prior = regressor.prior_
    pairs = zip(regressor.outputs_, prior.correlation, strict=True)
    told = ", ".join(f"{value:.2f} ({name})" for name, value in pairs)
    left = corpus.ratings.n_annotators - len(regressor.annotators_)
    print(f"\nLearned {len(regressor.annotators_):,} annotators{f', {left} had too few ratings' * bool(left)}.")
    print(f"On samples kept apart the mean of all heads correlates with an annotator's ratings by {told}.")
    print(f"model: {options.out} ({size_of(options.out)})")


def tell_samples(kinds: dict[str, str], clips: Any, options: argparse.Namespace) -> None:
    """Print what the samples are."""
    if not kinds:
        print(f"features: {clips.X.shape[1]:,} of each of {len(clips):,} samples", flush=True)
        return
    cache = "kept nowhere" if options.no_cache else f"kept in {options.cache}"
    print(f"{' and '.join(kinds.values())} of {len(clips):,} samples; vectors are {cache}", flush=True)
