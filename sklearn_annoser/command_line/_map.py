"""``map``: enrol everybody in some ratings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.frozen import FrozenEstimator

from sklearn_annoser.command_line._arguments import (
    add_clip_options,
    add_encoder_options,
    add_output_options,
    add_table_options,
    usage,
)
from sklearn_annoser.command_line._clips import clips_of_corpus
from sklearn_annoser.command_line._models import Model, check_kinds, load_model, save_model, set_encoders, vectors_in
from sklearn_annoser.command_line._tables import FORMATS, read_corpus
from sklearn_annoser.command_line._train import tell_samples
from sklearn_annoser.command_line._writing import check_free, size_of, write_table
from sklearn_annoser.estimators import AnnotatorMapper

EXAMPLES = """examples:
  python -m sklearn_annoser map model.skops new_ratings.csv --audio new_clips --out mapped.skops
  python -m sklearn_annoser map model.skops new_ratings.csv --features vectors.npz --table mapping.csv
  python -m sklearn_annoser map model.skops new_ratings.csv --audio new_clips --of ann --out ann.skops

Ratings on another scale, --scale 1 5, are brought to that of the model. Enrol everybody of a corpus together: all of
them tell how it differs from the one that was learned."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("map", help="enrol new annotators: who is alike, what to expect", epilog=EXAMPLES)
    command.add_argument("model", type=Path, metavar="MODEL", help="what train wrote")
    command.add_argument("ratings", type=Path, metavar="RATINGS", help="their ratings; 15 to 20 of each suffice")
    add_output_options(command, "the model that predicts them", required=False)
    command.add_argument("--of", metavar="NAME", help="let --out be the model of this person alone, to give away")
    command.add_argument("--table", type=Path, metavar="FILE", help="the table, as CSV")
    add_table_options(command, tuple(FORMATS))
    add_clip_options(command)
    add_encoder_options(command)


def run(options: argparse.Namespace) -> None:
    """Read, enrol, tell."""
    for path in (options.out, options.table):
        check_free(path, force=options.force)
    model = load_model(options.model)
    check_kinds(model.kinds)
    corpus = read_corpus(options.ratings, options, model=model)
    people = {str(label): label for label in corpus.ratings.annotators}
    if options.of is not None and (options.out is None or options.of not in people):
        raise usage(f"map: --of needs --out, and the name of somebody who rated: {', '.join(list(people)[:10])}.")
    print(corpus, flush=True)
    clips, corpus = clips_of_corpus(corpus, model.kinds, options)
    tell_samples(model.kinds, clips, options)
    with vectors_in(options) as cache:
        set_encoders(model, options, cache)
        mapper = model.map(clips.X, corpus.ratings)
        table = mapping_table(mapper, who_is_alike(model, clips.X, corpus.ratings))
    print(f"\n{as_text(table, mapper.outputs_)}\n")
    print("expected: the CCC with their ratings of other samples, and an 80 % interval")
    print("confidence that the most similar annotator is the right one: 0.5 is luck, 1 is clear")
    if options.table is not None:
        write_table(options.table, table)
        print(f"table: {options.table}")
    if options.out is not None:
        save_model(mapper if options.of is None else mapper.of(people[options.of]), options.out)
        print(f"model: {options.out} ({size_of(options.out)})")


def who_is_alike(model: Model, X: Any, ratings: Any) -> pd.DataFrame:
    """Return the known annotator who rates most as each new one does, and how sure that is."""
    mapper = AnnotatorMapper(FrozenEstimator(model.estimator), on_unknown="consensus", n_folds=0, random_state=0)
    return mapper.fit(X, ratings).mapping_[["source", "confidence"]]


def mapping_table(mapper: AnnotatorMapper, alike: pd.DataFrame) -> pd.DataFrame:
    """Return a row an annotator: their ratings, who is most similar, what to expect."""
    mapped = mapper.mapping_
    columns: dict[str, Any] = {"n_ratings": mapped["n_ratings"], "most_similar": alike["source"]}
    columns["confidence"] = alike["confidence"]
    for output in mapper.outputs_:
        columns |= {f"{kind}_{output}": mapped[f"{kind}_{output}"] for kind in ("expected", "low", "high")}
    return pd.DataFrame(columns, index=mapped.index).reset_index()


def as_text(table: pd.DataFrame, outputs: tuple[str, ...]) -> str:
    """Return the table of a mapping as people read it."""
    shown = pd.DataFrame({"annotator": table["annotator"], "ratings": table["n_ratings"]})
    shown["most similar"] = ["-" if each is None or each != each else str(each) for each in table["most_similar"]]
    shown["confidence"] = [f"{each:.2f}" if each == each else "-" for each in table["confidence"]]
    for output in outputs:
        triples = table[[f"{kind}_{output}" for kind in ("expected", "low", "high")]].to_numpy()
        shown[f"expected {output}"] = [f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in triples]
    return str(shown.to_string(index=False, max_rows=60))
