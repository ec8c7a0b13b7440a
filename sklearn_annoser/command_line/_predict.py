"""``predict``: what somebody would say of samples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_annoser.command_line._arguments import (
    add_clip_options,
    add_encoder_options,
    add_list_options,
    add_output_options,
    usage,
)
from sklearn_annoser.command_line._clips import read_clips
from sklearn_annoser.command_line._models import Model, check_kinds, load_model, set_encoders, vectors_in
from sklearn_annoser.command_line._train import tell_samples
from sklearn_annoser.command_line._writing import check_free, long_table, write_table

EXAMPLES = """examples:
  python -m sklearn_annoser predict mapped.skops clips --annotator ann --out predictions.csv
  python -m sklearn_annoser predict mapped.skops texts.csv --text text --everybody --out predictions.csv
  python -m sklearn_annoser predict model.skops vectors.npz --consensus --out predictions.csv

The model knows its encoder: no more is needed than the clips."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("predict", help="predict what somebody would say of clips", epilog=EXAMPLES)
    command.add_argument("model", type=Path, metavar="MODEL", help="what train, map or enroll wrote")
    command.add_argument("clips", type=Path, metavar="CLIPS", help="folder, sound file, table, or file of features")
    who = command.add_mutually_exclusive_group()
    who.add_argument("--annotator", nargs="+", metavar="NAME", help="whose ratings; not needed if it knows only one")
    who.add_argument("--everybody", action="store_true", help="of all annotators, a row each")
    who.add_argument("--consensus", action="store_true", help="the mean of everybody")
    add_output_options(command, "the predictions, as CSV")
    add_list_options(command)
    add_clip_options(command)
    add_encoder_options(command)


def run(options: argparse.Namespace) -> None:
    """Read, predict, write."""
    check_free(options.out, force=options.force)
    model = load_model(options.model, to_predict=True)
    check_kinds(model.kinds)
    annotators = whom(model, options)
    clips = read_clips(options.clips, model.kinds, options)
    tell_samples(model.kinds, clips, options)
    with vectors_in(options) as cache:
        set_encoders(model, options, cache)
        if annotators is None or model.person is not None:
            predicted = model.serves.predict(clips.X)
            cells = np.reshape(predicted, (len(clips), 1, -1))
            annotators = annotators or ["consensus"]
        else:
            steps, last = model.steps, model.serves
            if model.mapper is None and steps is not None:
                cells = model.regressor.predict_annotators(steps.transform(clips.X), annotators)
            else:
                cells = last.predict_annotators(clips.X, annotators)
    write_table(options.out, long_table(clips.labels, annotators, model.outputs, cells))
    scale = "" if model.scale is None else f", on the scale {model.scale[0]:g} to {model.scale[1]:g}"
    print(f"{len(clips):,} samples, {len(annotators):,} annotators{scale}: {options.out}")


def whom(model: Model, options: argparse.Namespace) -> list[Any] | None:
    """Return whose ratings are asked for, None for the consensus."""
    known = model.annotators
    if options.consensus:
        if model.person is not None:
            raise usage(f"predict: --consensus: the model is of {model.person.annotator_!r} alone.")
        return None
    if options.everybody:
        return list(known)
    if options.annotator is None:
        if len(known) == 1:
            return list(known)
        raise usage(f"predict: whose ratings? Give --annotator NAME, --everybody or --consensus. {tell(known)}")
    by_text = {str(label): label for label in known}
    unknown = [name for name in options.annotator if name not in by_text]
    if unknown:
        raise ValueError(f"--annotator: nobody is called {unknown[0]!r}. {tell(known)}")
    return [by_text[name] for name in options.annotator]


def tell(known: Any) -> str:
    """Return whom a model knows, in words."""
    names = ", ".join(str(each) for each in known[:10])
    return f"The model knows {len(known):,}: {names}{', ...' * (len(known) > 10)}."
