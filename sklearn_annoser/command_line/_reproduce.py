"""``reproduce``: run the paper's experiment on corpora that are there, or on invented ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from sklearn_annoser._optional import import_matplotlib, import_soundfile, import_transformers
from sklearn_annoser.command_line._arguments import check_extras, positive, use_no_screen
from sklearn_annoser.datasets import (
    read_iemocap,
    read_msp_improv,
    read_msp_podcast,
    read_muse,
    write_iemocap,
    write_msp_improv,
    write_msp_podcast,
    write_muse,
)
from sklearn_annoser.encoders import BertEncoder, WavLMEncoder
from sklearn_annoser.estimators import AnnotatorMappedRegressor
from sklearn_annoser.reproduce import compare_published, reproduce, summarize_levels, write_random_encoders
from sklearn_annoser.reproduce._files import fill_folder

READERS = {"MSP-Improv": read_msp_improv, "IEMOCAP": read_iemocap, "MuSE": read_muse}


def add(commands: Any) -> None:
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


def run(options: argparse.Namespace) -> None:
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
