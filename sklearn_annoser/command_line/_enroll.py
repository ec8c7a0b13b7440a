"""``enroll``: open a page on which a person rates the clips that tell most."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path
from typing import Any

from sklearn_annoser._optional import import_gradio
from sklearn_annoser.command_line._arguments import (
    add_clip_options,
    add_encoder_options,
    add_list_options,
    check_extras,
    positive,
)
from sklearn_annoser.command_line._clips import read_clips
from sklearn_annoser.command_line._models import check_kinds, load_model, set_encoders, vectors_in
from sklearn_annoser.command_line._train import tell_samples
from sklearn_annoser.enroll_page import Pool, make_app, serve

EXAMPLES = """examples:
  python -m sklearn_annoser enroll model.skops --clips new_clips --annotator ann
  python -m sklearn_annoser enroll model.skops --clips texts.csv --text text --out ratings --port 8000

Each rating is on the disk at once, in OUT/NAME/ratings.csv. Finish writes predictions.csv and model.skops beside it.
The page is for this machine alone unless --host says otherwise: it asks nobody for a password."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("enroll", help="open a page on which a person rates", epilog=EXAMPLES)
    command.add_argument("model", type=Path, metavar="MODEL", help="what train wrote")
    command.add_argument("--clips", type=Path, required=True, metavar="FOLDER_OR_CSV", help="what may be rated")
    command.add_argument("--annotator", default="", metavar="NAME", help="who rates first; others may follow")
    command.add_argument("--out", type=Path, default=Path("enrolled"), help="folder (default: enrolled)")
    command.add_argument("--n", type=positive, default=20, help="ratings to ask for (default: 20)")
    command.add_argument("--host", default="127.0.0.1", help="where to serve (default: 127.0.0.1, this machine)")
    command.add_argument("--port", type=int, default=7860, help="default: 7860")
    add_list_options(command)
    add_clip_options(command)
    add_encoder_options(command)


def run(options: argparse.Namespace) -> None:
    """Encode the clips, choose, serve."""
    check_extras(import_gradio)
    check_port(options.host, options.port)
    model = load_model(options.model)
    check_kinds(model.kinds)
    if not model.kinds:
        raise ValueError("this model takes ready features: there is nothing to show. Train with --audio or --text.")
    clips = read_clips(options.clips, model.kinds, options)
    tell_samples(model.kinds, clips, options)
    with vectors_in(options) as cache:
        set_encoders(model, options, cache)
        pool = Pool(model.estimator, clips.X, list(clips.labels), audio=clips.audio, texts=clips.texts)
        app = make_app(pool, options.out, n=options.n, annotator=options.annotator, host=options.host)
        if options.host not in ("127.0.0.1", "localhost", "::1"):
            print("warning: whoever reaches this machine can rate, under any name.", file=sys.stderr)
        print(
            f"Rate on http://{options.host}:{options.port} (Ctrl-C ends it); ratings go to {options.out}/", flush=True
        )
        serve(app, host=options.host, port=options.port)


def check_port(host: str, port: int) -> None:
    """Raise, before any work, if something else is served there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as error:
            raise OSError(f"{host}:{port} cannot be served at: {error}. Try another --port.") from error
