"""``demo``: show the main job on simulated corpora whose truth is known, or on real ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser._optional import import_matplotlib
from sklearn_annoser.command_line._arguments import check_extras, positive, use_no_screen
from sklearn_annoser.datasets import make_corpora, read_politeness, read_speechocean762
from sklearn_annoser.displays import StrategyDisplay
from sklearn_annoser.estimators import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.evaluation import (
    compare_strategies,
    cross_corpus,
    draw_enrollment,
    leave_one_annotator_out,
    summarize_strategies,
)
from sklearn_annoser.reproduce._files import written_aside

N_ENROLLED = 20


def add(commands: Any) -> None:
    """Add the command that shows the main job."""
    command = commands.add_parser("demo", help="train a source corpus, enrol new annotators with 20 ratings, compare")
    command.add_argument("--data", type=Path, help="folder of speechocean762/ or stanford_politeness/; else simulated")
    command.add_argument("--out", type=Path, default=Path("demo"), help="folder for the picture (default: demo)")
    command.add_argument("--draws", type=positive, default=5, help="random draws of enrollment ratings (default: 5)")


def run(options: argparse.Namespace) -> None:
    """Run the main job on simulated corpora, or on those in a folder."""
    if options.data is None:
        demo_simulated(options.out, options.draws)
    else:
        demo_real(options.data, options.out, options.draws)


def demo_simulated(out: Path, n_draws: int) -> None:
    """Run the main job on a simulated pair of corpora, and say whether it found the truth."""
    check_extras(import_matplotlib)
    use_no_screen()
    source, target = make_corpora(random_state=0)
    print(f"source corpus: {source.ratings!r}\ntarget corpus: {target.ratings!r}, none of whom the source knows\n")
    model = AnnotatorMappedRegressor(lr=0.01, random_state=0, verbose=1)
    print("Training one head for each source annotator ...", flush=True)
    model.fit(source.X, source.ratings, groups=source.groups)
    print("Training the aggregate baseline ...", flush=True)
    aggregate = clone(model).set_params(variant="aggregate").fit(source.X, source.ratings, groups=source.groups)
    print(f"Enrolling {target.ratings.n_annotators} new annotators with {N_ENROLLED} ratings each ...", flush=True)
    results = compare_strategies(
        model,
        target.X,
        target.ratings,
        aggregate=aggregate,
        enrollment=N_ENROLLED,
        n_draws=n_draws,
        random_state=0,
        verbose=1,
    )
    report(results, "Simulated corpora", out / "simulated.png")

    mapping = enrol(model, target)
    types = types_of(source, target)
    mapping["type"] = [types[annotator] for annotator in mapping.index]
    mapping["type of source"] = [types[annotator] for annotator in mapping["source"]]
    print(f"\nWho serves whom, from {N_ENROLLED} ratings (confidence: 0.5 is luck, 1 is clear)\n")
    print(mapping.round(2).to_string())
    right = (mapping["type"] == mapping["type of source"]).mean()
    chance = np.mean([(source.types == kind).mean() for kind in target.types])
    print(f"\nThe known truth: {right:.0%} were mapped to an annotator of their own type; by chance {chance:.0%} are.")


def demo_real(data: Path, out: Path, n_draws: int) -> None:
    """Run the main job on the real corpora that are in a folder."""
    check_extras(import_matplotlib)
    use_no_screen()
    speech, text = data / "speechocean762", data / "stanford_politeness"
    if not speech.is_dir() and not text.is_dir():
        sys.exit(f"There is neither speechocean762/ nor stanford_politeness/ in {data}.")
    estimator = make_pipeline(StandardScaler(), AnnotatorMappedRegressor())
    options: dict[str, Any] = {"enrollment": N_ENROLLED, "n_draws": n_draws, "verbose": 1}
    if speech.is_dir():
        print("speechocean762: five experts score the speech of learners; each expert in turn is new.", flush=True)
        source, target = (read_speechocean762(speech, split=split) for split in ("train", "test"))
        faster = clone(estimator).set_params(annotatormappedregressor__lr=5e-3)
        results = leave_one_annotator_out(faster, source, target, **options)
        report(results, "speechocean762, leave one expert out", out / "speechocean762.png")
        print_sources(results)
    if text.is_dir():
        print("\nPoliteness: from Wikipedia's raters to those of Stack Exchange whom it does not know.", flush=True)
        source, target = (read_politeness(text, corpus=corpus) for corpus in ("wikipedia", "stackexchange"))
        unknown = ~np.isin(target.ratings.annotators, source.ratings.annotators)
        target.ratings = target.ratings.keep_annotators(target.ratings.annotators[unknown], min_ratings=60)
        source.ratings = source.ratings.keep_annotators(min_ratings=30)
        results = cross_corpus(estimator, source, target, **options)
        report(results, "Politeness, Wikipedia to Stack Exchange", out / "politeness.png")
        print_sources(results)


def enrol(model: AnnotatorMappedRegressor, target: Any) -> pd.DataFrame:
    """Return who serves each annotator of a target corpus."""
    enrolled, _ = draw_enrollment(target.ratings, N_ENROLLED, random_state=0)
    return AnnotatorMapper(model, random_state=0).fit(target.X, enrolled).mapping_


def types_of(*corpora: Any) -> dict[str, int]:
    """Return the type of each simulated annotator."""
    return {
        annotator: int(kind)
        for corpus in corpora
        for annotator, kind in zip(corpus.ratings.annotators, corpus.types, strict=True)
    }


def report(results: pd.DataFrame, title: str, picture: Path) -> None:
    """Print the table of strategies, and draw it."""
    print(f"\n{title}: CCC with {N_ENROLLED} enrollment ratings, mean over annotators (std over draws)\n")
    table = summarize_strategies(results)
    print(table.round(3).to_string())
    with written_aside(picture) as aside:
        StrategyDisplay.from_results(results, title=title).figure_.savefig(aside, format="png", dpi=150)
    print(f"\npicture: {picture}")


def print_sources(results: pd.DataFrame) -> None:
    """Print which source annotator each new one was mapped to, and how often."""
    mapped = results[(results["strategy"] == "mapped") & (results["output"] == results["output"].iloc[0])]
    counts = mapped.groupby("annotator")["source"].value_counts(normalize=True)
    table = counts.rename("share of draws").reset_index().groupby("annotator").first()
    print("\nWho serves whom most often\n")
    print(table.round(2).to_string(max_rows=12))
