"""Tones that a small random network hears, a model of people who rate them, and the page in a thread."""

import os
import threading
import time
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pandas as pd
import pytest
import soundfile

from sklearn_annoser import AnnotatorCommittee
from sklearn_annoser.command_line import _models, main
from sklearn_annoser.reproduce import write_random_encoders

N_CLIPS = 30


def write_tones(folder, n, seed):
    """Write short tones of different height and loudness."""
    folder.mkdir()
    rng = np.random.RandomState(seed)
    time_ = np.arange(4000) / 16000
    loud, high = rng.uniform(size=(2, n))
    for k in range(n):
        wave = (0.05 + 0.4 * loud[k]) * np.sin(2 * np.pi * (200 + 800 * high[k]) * time_)
        soundfile.write(folder / f"{k:03d}.wav", wave, 16000)
    return np.stack([loud, high], axis=1)


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A folder with clips, and model.skops, trained by the command line on other clips."""
    folder = tmp_path_factory.mktemp("studio")
    speech, _ = write_random_encoders(folder / "encoders")
    truth = write_tones(folder / "known", 40, 0)
    write_tones(folder / "clips", N_CLIPS, 1)
    rng = np.random.RandomState(0)
    rows = [
        (f"{k:03d}", f"rater {person}", *np.clip(np.round(1 + 6 * truth[k] + rng.normal(size=2) / 2), 1, 7).astype(int))
        for person in range(5)
        for k in range(40)
    ]
    columns = ["sample", "annotator", "activation", "valence"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "ratings.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            _models,
            "AnnotatorCommittee",
            lambda **given: AnnotatorCommittee(n_hidden=16, n_members=2, n_consensus_members=1, **given),
        )
        words = ["--audio", folder / "known", "--scale", 1, 7, "--speech-model", speech, "--cache", folder / "cache"]
        words = ["train", folder / "ratings.csv", *words, "--lr", 0.02, "--epochs", 8, "--out", folder / "model.skops"]
        main([str(word) for word in words])
    return SimpleNamespace(folder=folder, model=folder / "model.skops", clips=folder / "clips", cache=folder / "cache")


@pytest.fixture(scope="session")
def pool(studio):
    """The clips of the studio, as its model sees them."""
    from sklearn_annoser.enroll_page import Pool

    model = _models.load_model(studio.model)
    files = [str(each) for each in sorted(studio.clips.iterdir())]
    labels = [each.rpartition("/")[2] for each in files]
    return Pool(model.estimator, pd.DataFrame({"path": files}), labels, audio=files)


class Served:
    """An application that is served in a thread."""

    def __init__(self, app):
        import uvicorn

        self.server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *error):
        self.server.should_exit = True
        self.thread.join(10)
