"""The command line: ``demo`` shows the main job, ``plan`` tells what a corpus takes, ``reproduce`` runs the paper's."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from sklearn_annoser._optional import import_matplotlib, import_soundfile, import_transformers
from sklearn_annoser.datasets import (
    make_corpora,
    read_iemocap,
    read_msp_improv,
    read_msp_podcast,
    read_muse,
    read_politeness,
    read_speechocean762,
    write_iemocap,
    write_msp_improv,
    write_msp_podcast,
    write_muse,
)
from sklearn_annoser.displays import StrategyDisplay
from sklearn_annoser.encoders import BertEncoder, WavLMEncoder
from sklearn_annoser.estimators import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.evaluation import (
    compare_strategies,
    cross_corpus,
    draw_enrollment,
    leave_one_annotator_out,
    summarize_strategies,
)
from sklearn_annoser.planning import Corpus, describe_plan, make_plan
from sklearn_annoser.reproduce import compare_published, reproduce, summarize_levels, write_random_encoders
from sklearn_annoser.reproduce._files import fill_folder, written_aside

N_ENROLLED = 20
INTERRUPTED = 130  # what shells expect after Ctrl-C


def main(arguments: list[str] | None = None) -> None:
    """Run a command; without one, print the help."""
    parser = argparse.ArgumentParser(prog="python -m sklearn_annoser", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train a source corpus, enrol new annotators with 20 ratings, compare")
    demo.add_argument("--data", type=Path, help="folder with speechocean762/ or stanford_politeness/; else simulated")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="folder for the picture (default: demo)")
    demo.add_argument("--draws", type=positive, default=5, help="random draws of enrollment ratings (default: 5)")
    _add_plan(commands)
    _add_reproduce(commands)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        if options.command == "plan":
            run_plan(options)
        elif options.command == "reproduce":
            run_reproduce(options)
        elif options.data is None:
            demo_simulated(options.out, options.draws)
        else:
            demo_real(options.data, options.out, options.draws)
    except KeyboardInterrupt:
        goes_on = " The same command goes on where it was." if options.command == "reproduce" else ""
        print(f"\nInterrupted.{goes_on}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(f"\nDone in {time.perf_counter() - start:.0f} s.")


def check_extras(*imports: Callable[[], Any]) -> None:
    """Exit if a package is not there, before any work is done."""
    try:
        for each in imports:
            each()
    except ImportError as error:
        sys.exit(str(error))


def use_no_screen() -> None:
    """Let pictures be drawn to files where there is no screen."""
    import matplotlib as mpl

    mpl.use("Agg")


def positive(text: str) -> int:
    """Return a whole number of one at least."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


def positive_number(text: str) -> float:
    """Return a finite number above zero."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {number:g}")
    return number


def _add_plan(commands: Any) -> None:
    """Add the command that tells how long a corpus will take."""
    command = commands.add_parser("plan", help="tell how long a corpus will take here, from 20 seconds of measurement")
    command.add_argument("--hours", type=positive_number, required=True, help="hours of audio")
    command.add_argument("--annotators", type=positive, required=True, help="annotators of the corpus")
    command.add_argument("--seconds", type=positive_number, default=6.0, help="length of an utterance (default: 6)")
    command.add_argument("--epochs", type=positive, default=30, help="epochs of training (default: 30)")
    command.add_argument("--people", type=positive, default=100, help="new annotators (default: 100)")
    command.add_argument("--budget", type=positive_number, default=20.0, help="seconds to measure (default: 20)")


def run_plan(options: argparse.Namespace) -> None:
    """Measure, and print what to expect."""
    check_extras(import_transformers)
    names = ("hours", "annotators", "seconds", "epochs", "people")
    corpus = Corpus(**{name: getattr(options, name) for name in names})
    print(f"Measuring for about {options.budget:g} seconds ...", flush=True)
    print(describe_plan(corpus, make_plan(corpus, budget=options.budget)))


def _add_reproduce(commands: Any) -> None:
    """Add the command that runs the paper's experiment."""
    command = commands.add_parser("reproduce", help="train on MSP-Podcast, map to other corpora, write a report")
    command.add_argument("--msp-podcast", type=Path, help="folder of the source corpus")
    command.add_argument("--release", default="1.11", help="release of MSP-Podcast (default: 1.11)")
    for name in READERS:
        command.add_argument(f"--{name.lower()}", type=Path, help=f"folder of {name}, a target corpus")
    command.add_argument("--muse-metadata", type=Path, help="table with the annotators of MuSE")
    command.add_argument("--missing", default="raise", choices=("raise", "drop"), help="where there is no audio")
    command.add_argument("--speech-model", default="microsoft/wavlm-base-plus", help="name on the hub, or folder")
    command.add_argument("--text-model", default="google-bert/bert-base-uncased", help="name on the hub, or folder")
    command.add_argument("--seeds", type=positive, default=5, help="models to train of each kind (default: 5)")
    command.add_argument("--n-jobs", type=int, default=None, help="processes that make the vectors")
    command.add_argument("--demo", action="store_true", help="invented corpora and small random encoders instead")
    command.add_argument("--out", type=Path, default=Path("reproduce"), help="folder (default: reproduce)")


READERS = {"MSP-Improv": read_msp_improv, "IEMOCAP": read_iemocap, "MuSE": read_muse}


def run_reproduce(options: argparse.Namespace) -> None:
    """Run the paper's experiment on the corpora that are there."""
    check_extras(import_matplotlib, import_transformers, import_soundfile)
    use_no_screen()
    if options.demo:
        prepare_demo(options)
    folders = {name: getattr(options, name.lower().replace("-", "_")) for name in READERS}
    if options.msp_podcast is None or not any(folders.values()):
        sys.exit("reproduce needs --msp-podcast and one of --msp-improv, --iemocap, --muse; or --demo.")
    print("Reading the corpora ...", flush=True)
    podcast = read_msp_podcast(options.msp_podcast, release=options.release, missing=options.missing)
    corpora = {"source": podcast}
    for name, folder in folders.items():
        if folder is not None:
            more = {"metadata": options.muse_metadata} if name == "MuSE" else {}
            corpora[name + (" (invented)" if options.demo else "")] = READERS[name](
                folder, missing=options.missing, **more
            )
    for name, corpus in corpora.items():
        print(f"\n{corpus.DESCR.splitlines()[0]}\nMaking the vectors of {name} ...", flush=True)
        corpus.X = encode(corpus.utterances, options)
    split = podcast.utterances["split"].to_numpy()
    train, test = (np.isin(split, names) for names in (("train", "development"), ("test1",)))
    source = Bunch(X=podcast.X[train], ratings=podcast.ratings[train], validation=podcast.validation[train])
    tests = {}
    if test.any():
        tests["MSP-Podcast Test1" + " (invented)" * options.demo] = Bunch(
            X=podcast.X[test], ratings=podcast.ratings[test]
        )
    estimator: Any = AnnotatorMappedRegressor()
    settings: dict[str, Any] = {}
    if options.demo:
        estimator = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(n_hidden=32, lr=0.01, max_epochs=25))
        settings = {"enrollment": (5, 10, 20, "all"), "min_ratings": 20}
    print(f"\nTraining, mapping, fine-tuning; everything goes to {options.out}/", flush=True)
    targets = {name: corpus for name, corpus in corpora.items() if name != "source"}
    results = reproduce(
        source,
        targets,
        estimator=estimator,
        out=options.out,
        tests=tests,
        seeds=range(options.seeds),
        verbose=1,
        **settings,
    )
    published = compare_published(results)
    if len(published):
        print(f"\n{published.round(3).to_string(index=False)}")
    else:
        print("\nMean CCC with each annotator, all ratings of the training split enrolled\n")
        print(summarize_levels(results).xs("mean", axis=1, level=2).loc["individual"].round(3).to_string(na_rep=""))
    print(f"\nreport: {options.out / 'report.html'}")


def encode(utterances: pd.DataFrame, options: argparse.Namespace) -> np.ndarray:
    """Return the vectors of audio and transcripts, which are kept in the folder of the experiment."""
    shared = {"cache_dir": options.out / "vectors", "n_jobs": options.n_jobs, "verbose": 1}
    audio = WavLMEncoder(options.speech_model, **shared).fit_transform(utterances["path"])
    return np.hstack([audio, BertEncoder(options.text_model, **shared).fit_transform(utterances["transcript"])])


def prepare_demo(options: argparse.Namespace) -> None:
    """Use invented corpora and small random encoders, written by the first run."""
    folder = options.out / "demo"
    fill_folder(folder, write_demo)
    options.speech_model, options.text_model = str(folder / "models" / "wavlm"), str(folder / "models" / "bert")
    options.msp_podcast, options.muse_metadata, options.release = folder / "msp-podcast", None, "1.11"
    options.msp_improv, options.iemocap, options.muse = (folder / name for name in ("msp-improv", "iemocap", "muse"))
    options.seeds = min(options.seeds, 2)


def write_demo(folder: Path) -> None:
    """Write invented corpora and small random encoders."""
    write_random_encoders(folder / "models")
    write_msp_podcast(folder / "msp-podcast", n_utterances=300, n_annotators=16, n_ratings=6)
    write_msp_improv(folder / "msp-improv", n_utterances=120, n_annotators=6, random_state=1)
    write_iemocap(folder / "iemocap", n_utterances=120, n_annotators=4, n_ratings=3, random_state=2)
    write_muse(folder / "muse", n_utterances=120, n_annotators=6, random_state=3)


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


if __name__ == "__main__":
    main()
