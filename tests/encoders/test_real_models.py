"""Real weights on real speech and text: Whisper tiny.en and MiniLM, where they are on this machine."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import SpeechEncoder, TextEncoder

DATA = Path(os.environ.get("SKLEARN_ANNOSER_DATA", Path(__file__).parents[3] / "shared" / "data"))
MODELS = Path(os.environ.get("SKLEARN_ANNOSER_MODELS", "models"))


def model_folder(name):
    """Return the folder of a model, or skip."""
    folder = MODELS / name
    if not folder.is_dir():
        pytest.skip(f"there is no folder {name} in SKLEARN_ANNOSER_MODELS={str(MODELS)!r}")
    return str(folder)


@pytest.fixture(scope="module")
def speech():
    """Forty files of speechocean762, and what Whisper's layers gave for them, mean over time."""
    root = DATA / "speechocean762"
    if not root.is_dir():
        pytest.skip(f"there is no folder {root}: set SKLEARN_ANNOSER_DATA")
    files = sorted((root / "audio").glob("*.flac"))[::25]
    with np.load(root / "features_whisper_tiny_en.npz") as features:
        row = pd.Index(features["utt"].astype(str)).get_indexer([path.stem for path in files])
        return files, features["mean"][row].astype(np.float32), features["std"][row].astype(np.float32)


@pytest.fixture(scope="module")
def requests():
    """Two hundred requests, and their sentence embeddings."""
    root = DATA / "stanford_politeness"
    if not root.is_dir():
        pytest.skip(f"there is no folder {root}: set SKLEARN_ANNOSER_DATA")
    items = pd.read_csv(root / "items.csv", dtype=str).iloc[::50]
    with np.load(root / "embeddings_minilm.npz") as features:
        row = pd.Index(features["item_id"].astype(str)).get_indexer(items["item_id"])
        return items["text"].tolist(), features["X"][row].astype(np.float32)


def test_whisper_gives_the_vectors_that_were_made_elsewhere_to_half_precision(speech):
    files, mean, std = speech
    encoder = SpeechEncoder(model_folder("whisper-tiny.en"), layers="all").fit(files)
    # Rounding to float16 is off by 2**-11 of a number.
    np.testing.assert_allclose(encoder.transform(files), mean.reshape(len(files), -1), rtol=2**-10, atol=1e-3)
    last = SpeechEncoder(model_folder("whisper-tiny.en"), pooling="std").fit_transform(files)
    np.testing.assert_allclose(last, std, rtol=0.01, atol=1e-3)  # theirs divides by n - 1


def test_padding_does_not_leak_through_real_weights(speech):
    files, *_ = speech
    folder = model_folder("whisper-tiny.en")
    alone, together = (SpeechEncoder(folder, batch_seconds=s).fit_transform(files) for s in (0.01, 60.0))
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*texts are longer than 256 tokens")
def test_minilm_gives_the_sentence_embeddings_that_were_made_elsewhere(requests):
    texts, embeddings = requests
    folder = model_folder("all-MiniLM-L6-v2")
    found = TextEncoder(folder, pooling="mean", max_tokens=256).fit_transform(texts)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    expected = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_padding_does_not_leak_through_real_weights_of_text(requests):
    texts, _ = requests
    folder = model_folder("all-MiniLM-L6-v2")
    encoders = (TextEncoder(folder, pooling="mean", batch_tokens=n) for n in (1, 8_192))
    alone, together = (encoder.fit_transform(texts[:60]) for encoder in encoders)
    np.testing.assert_allclose(together, alone, atol=1e-4)
