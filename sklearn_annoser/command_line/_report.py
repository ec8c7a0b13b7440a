"""``report``: a page about a corpus and a model that needs no file beside it."""

from __future__ import annotations

import argparse
import html
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from sklearn_annoser._optional import import_krippendorff, import_matplotlib, import_skops_io
from sklearn_annoser.annotators import agreement_table, annotator_agreement
from sklearn_annoser.command_line._arguments import (
    add_output_options,
    add_table_options,
    check_extras,
    usage,
    use_no_screen,
)
from sklearn_annoser.command_line._models import Model, load_model
from sklearn_annoser.command_line._tables import FORMATS, Corpus, read_corpus
from sklearn_annoser.command_line._writing import check_free
from sklearn_annoser.displays import AnnotatorEmbeddingDisplay, AnnotatorSimilarityDisplay
from sklearn_annoser.reproduce._files import write_text
from sklearn_annoser.reproduce._report import STYLE, _image

EXAMPLES = """examples:
  python -m sklearn_annoser report --ratings ratings.csv --scale 1 7 --out corpus.html
  python -m sklearn_annoser report --ratings ratings.csv --model model.skops --out report.html"""
PICTURES = {"Who rates like whom": AnnotatorSimilarityDisplay, "A map": AnnotatorEmbeddingDisplay}
MOST_IN_A_PICTURE = 60  # annotators whose names can be read


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("report", help="write a page about a corpus, a model, or both", epilog=EXAMPLES)
    command.add_argument("--ratings", type=Path, metavar="TABLE", help="the corpus: agreement, annotators")
    command.add_argument("--model", type=Path, help="what train, map or enroll wrote: annotators, pictures, scores")
    add_output_options(command, "the page, HTML")
    add_table_options(command, tuple(FORMATS))
    command.set_defaults(text=None, missing="raise")


def run(options: argparse.Namespace) -> None:
    """Read, measure, write."""
    if options.ratings is None and options.model is None:
        raise usage("report: about what? Give --ratings TABLE, --model MODEL or both.")
    check_free(options.out, force=options.force)
    corpus, parts = None, ["<h1>Annotators</h1>"]
    check_extras(*([import_krippendorff] if options.ratings else []))
    check_extras(*([import_matplotlib, import_skops_io] if options.model else []))
    model = None if options.model is None else load_model(options.model)
    if options.ratings is not None:
        corpus = read_corpus(options.ratings, options, model=model)
        print(corpus, flush=True)
        parts += about_corpus(corpus)
    if model is not None:
        use_no_screen()
        parts += about_model(model)
    page = f"<!doctype html><html><head><meta charset='utf-8'><title>Annotators</title>{STYLE}</head><body>"
    write_text(options.out, page + "\n".join(parts) + "</body></html>")
    print(f"report: {options.out}")


def about_corpus(corpus: Corpus) -> Iterator[str]:
    """Yield what there is to say of ratings."""
    ratings = corpus.ratings
    yield f"<h2>The corpus</h2><p>{html.escape(str(corpus))}.</p>"
    yield "<h2>Agreement</h2><p>1 is agreement, 0 is none; low and high are bounds of an interval of 95 %.</p>"
    yield agreement_table(ratings, random_state=0).round(3).to_html(na_rep="-")
    yield "<h2>Annotators</h2><p>ccc: with the mean of the others who rated the same samples.</p>"
    alike = annotator_agreement(ratings)
    long = ratings.to_long()
    by_person = long.groupby("annotator", sort=False)
    table = pd.DataFrame({"ratings": ratings.counts()})
    for output in ratings.outputs:
        table[f"mean {output}"] = by_person[output].mean().reindex(table.index)
        table[f"deviation {output}"] = by_person[output].std().reindex(table.index)
        table[f"ccc {output}"] = alike[output].reindex(table.index)
    yield table.round(3).to_html(na_rep="-")


def about_model(model: Model) -> Iterator[str]:
    """Yield what there is to say of a model."""
    plt, regressor = import_matplotlib(), model.regressor
    scale = "not declared" if model.scale is None else f"{model.scale[0]:g} to {model.scale[1]:g}"
    yield f"<h2>The model</h2><p>It knows {len(regressor.annotators_):,} annotators of a corpus; scale: {scale}.</p>"
    told = pd.DataFrame({"correlation": regressor.prior_.correlation}, index=list(regressor.outputs_))
    yield "<p>Of an annotator's ratings of samples kept apart with the mean of all heads:</p>"
    yield told.round(3).to_html()
    if model.mapper is not None:
        yield "<h2>Who was mapped to it</h2><p>expected: the CCC on other samples; low, high: 80 % interval.</p>"
        yield model.mapper.mapping_.round(3).to_html(na_rep="-")
    if not 3 <= len(regressor.annotators_) <= MOST_IN_A_PICTURE:
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # of the labels' alphabets
        for title, display in (
            ("Who rates like whom", AnnotatorSimilarityDisplay),
            ("A map", AnnotatorEmbeddingDisplay),
        ):
            figure = display.from_estimator(model.estimator).figure_
            yield f"<h2>{title}</h2>{_image(figure)}"
            plt.close(figure)
