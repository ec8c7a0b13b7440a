"""Half and twice of the sizes of batches that the encoders fill, and what bfloat16 does to a regression downstream.

    python benchmarks/batches.py [--whisper FOLDER] [--minilm FOLDER] [--rounds 3]

One thread, in seconds of the CPU; the rounds of all sizes alternate in one process, and a ratio is the median over
rounds of the ratio to the default within a round. WavLM has the size of base and random weights, Whisper tiny.en and
MiniLM are real. Audio is every 25th utterance of speechocean762 that has some, texts every 20th request of the
politeness corpus.

Then a ridge regression (RidgeCV on standardized features, its strength chosen among powers of ten) of the consensus, in
five folds without shuffling, on features in float32 and in bfloat16: every utterance that has audio, and every fourth
text. The table has the CCC of all predictions with the consensus.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from data import data_folder
from encoders import prepared, random_wavlm
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import print_table

from sklearn_annoser import SpeechEncoder, TextEncoder
from sklearn_annoser.metrics import ccc_score

FACTORS = (0.5, 1.0, 2.0, 4.0)


def ratios(sizes: dict[str, Callable[[], np.ndarray]], reference: str, rounds: int) -> pd.DataFrame:
    """Return how long each takes, as the median over rounds of the ratio to one of them."""
    seconds: dict[str, list[float]] = {name: [] for name in sizes}
    for round_ in range(rounds + 1):
        for name, embed in sizes.items():
            start = time.process_time()
            embed()
            if round_:  # the first warms up
                seconds[name].append(time.process_time() - start)
    times = pd.DataFrame(seconds)
    relative = times.div(times[reference], axis=0)
    table = {"seconds": times.median(), "ratio": relative.median(), "lowest": relative.min(), "highest": relative.max()}
    return pd.DataFrame(table).rename_axis("a batch")


def compare_sizes(title: str, make: Callable[[float], object], items: list[str], default: float, rounds: int) -> None:
    """Print how long batches of several sizes take."""
    encoders = {f"{default * factor:g}": make(default * factor).fit(items) for factor in FACTORS}  # type: ignore[attr-defined]
    print_table(
        title,
        ratios(
            {name: lambda each=each: each.transform(items) for name, each in encoders.items()}, f"{default:g}", rounds
        ),
    )


def consensus_ccc(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the CCC of a ridge regression in folds, for each output."""
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=10.0 ** np.arange(0, 6)))
    predicted = cross_val_predict(ridge, X, y, cv=KFold(5))
    return np.array([ccc_score(*pair) for pair in zip(y.T, predicted.reshape(y.shape).T, strict=True)])


def consensus(folder: Path, items: pd.DataFrame, outputs: list[str]) -> np.ndarray:
    """Return the mean rating of each item."""
    ratings = pd.read_csv(folder / "ratings.csv", dtype={"item_id": str})
    return ratings.groupby("item_id")[outputs].mean().loc[items["item_id"]].to_numpy()


def main() -> None:
    options = prepared(__doc__)
    speech, politeness = (data_folder() / name for name in ("speechocean762", "stanford_politeness"))
    clips = pd.read_csv(speech / "items.csv", dtype={"item_id": str})
    clips = clips[clips["has_audio"].astype(bool)]
    files = [str(speech / "audio" / f"{item}.flac") for item in clips["item_id"]]
    requests = pd.read_csv(politeness / "items.csv", dtype={"item_id": str})[::4]
    texts = requests["text"].tolist()

    with tempfile.TemporaryDirectory() as folder:
        models = {"WavLM base, random weights": random_wavlm(Path(folder)), "Whisper tiny.en": options.whisper}
        for title, name in models.items():
            compare_sizes(
                f"{title}: seconds a batch",
                lambda seconds, name=name: SpeechEncoder(name, batch_seconds=seconds),
                files[::25],
                4.0,
                options.rounds,
            )
    compare_sizes(
        "MiniLM: tokens a batch",
        lambda tokens: TextEncoder(options.minilm, pooling="mean", batch_tokens=int(tokens)),
        texts[::5],
        512,
        options.rounds,
    )

    rows = {}
    for dtype in ("float32", "bfloat16"):
        X = SpeechEncoder(options.whisper, dtype=dtype).fit_transform(files)
        found = consensus_ccc(X, consensus(speech, clips, ["accuracy", "fluency", "prosodic"]))
        X = TextEncoder(options.minilm, pooling="mean", dtype=dtype).fit_transform(texts)
        found = [*found, *consensus_ccc(X, consensus(politeness, requests, ["politeness"]))]
        rows[dtype] = dict(zip(("accuracy", "fluency", "prosody", "politeness"), found, strict=True))
    table = pd.DataFrame(rows).T
    table.loc["difference"] = table.loc["bfloat16"] - table.loc["float32"]
    print_table(f"CCC of a ridge: {len(files)} utterances, {len(texts)} texts", table.rename_axis("features"), digits=4)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    main()
