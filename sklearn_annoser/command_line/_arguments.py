"""What several commands ask for: tables, clips, encoders, a place to write; packages that have to be there."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def check_extras(*imports: Callable[[], Any]) -> None:
    """Exit if a package is not there, before any work is done."""
    try:
        for each in imports:
            each()
    except ImportError as error:
        sys.exit(f"error: {error}")


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


def layers(text: str) -> int | str:
    """Return a layer of an encoder, or "all"."""
    return text if text == "all" else int(text)


def usage(message: str) -> argparse.ArgumentError:
    """Return an error about how a command was called."""
    return argparse.ArgumentError(None, message)


def add_table_options(command: Any, formats: tuple[str, ...]) -> None:
    """Add what says how ratings are read."""
    table = command.add_argument_group("the ratings")
    table.add_argument("--format", choices=formats, default="table", help="what wrote them (default: table)")
    table.add_argument("--sample", metavar="COLUMN", help="what was rated (default: sample, utterance, clip, ...)")
    table.add_argument("--annotator-column", metavar="COLUMN", help="who rated (default: annotator, rater, ...)")
    table.add_argument(
        "--outputs", nargs="+", metavar="COLUMN", help="what was rated of it (default: activation, valence, ...)"
    )
    table.add_argument("--scale", nargs=2, type=float, metavar=("LOW", "HIGH"), help="the scale on which was rated")
    table.add_argument("--samples", type=Path, metavar="TABLE", help="a second table, a row a sample")
    table.add_argument("--group", metavar="COLUMN", help="of --samples: what belongs together, such as the speaker")
    table.add_argument(
        "--duplicates",
        choices=("error", "mean", "first", "last"),
        default="error",
        help="where somebody rated a sample twice (default: error)",
    )
    table.add_argument("--on-error", choices=("raise", "drop"), default="raise", help="lines that are wrong")
    table.add_argument("--separator", help="between the cells (default: whichever gives the columns)")
    table.add_argument("--encoding", help="of the tables (default: UTF-8, or what their first bytes say)")
    table.add_argument("--part", help="train or test of speechocean762, wikipedia or stackexchange of politeness")
    table.add_argument("--release", default="1.11", help="of msp-podcast (default: 1.11)")


def add_clip_options(command: Any) -> None:
    """Add what says where the samples are."""
    clips = command.add_argument_group("the samples")
    clips.add_argument("--audio", type=Path, metavar="DIR", help="folder with a file for each sample")
    clips.add_argument("--text", metavar="COLUMN", help="column with their text, of --samples or of the ratings")
    clips.add_argument("--features", type=Path, metavar="FILE", help="ready features: .npz, .npy, .csv or .parquet")
    clips.add_argument("--arrays", nargs="+", metavar="NAME", help="of a .npz with several: which are the features")
    clips.add_argument(
        "--missing", choices=("raise", "drop"), default="raise", help="samples that are not there (default: raise)"
    )


def add_list_options(command: Any) -> None:
    """Add what says how a table of clips without ratings is read."""
    table = command.add_argument_group("a table of clips")
    table.add_argument("--sample", metavar="COLUMN", help="what they are called (default: sample, clip, file, ...)")
    table.add_argument("--samples", type=Path, metavar="TABLE", help="of a .npy: a table, a row a sample")
    table.add_argument("--separator", help="between the cells (default: whichever gives the columns)")
    table.add_argument("--encoding", help="of the tables (default: UTF-8, or what their first bytes say)")
    command.set_defaults(outputs=None, on_error="raise")


def add_encoder_options(command: Any, *, for_training: bool = False) -> None:
    """Add what says how audio and text become vectors."""
    group = command.add_argument_group("encoders")
    if for_training:
        group.add_argument("--speech-model", default="microsoft/wavlm-base-plus", help="name on the hub, or folder")
        group.add_argument("--text-model", default="google-bert/bert-base-uncased", help="name on the hub, or folder")
        group.add_argument("--speech-layers", type=layers, default=-1, help='a layer or "all" (default: -1, the last)')
        group.add_argument("--text-layers", type=layers, default=-1, help='a layer or "all" (default: -1, the last)')
    else:
        group.add_argument("--speech-model", help="where the model's own speech encoder lies now, if not where it was")
        group.add_argument("--text-model", help="where its text encoder lies now")
    group.add_argument(
        "--cache",
        type=Path,
        default=cache_folder(),
        metavar="DIR",
        help="of vectors (default: %(default)s)",
    )
    group.add_argument("--no-cache", action="store_true", help="keep no vectors")
    group.add_argument("--n-jobs", type=int, help="processes that make vectors (default: one)")


def add_output_options(command: Any, what: str, *, required: bool = True) -> None:
    """Add where to write."""
    command.add_argument("--out", type=Path, required=required, metavar="FILE", help=what)
    command.add_argument("--force", action="store_true", help="write over a file that is there")


def cache_folder() -> Path:
    """Return where vectors are kept unless somebody says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sklearn_annoser"
