"""Nothing is embedded twice and nothing lost: with a cache, when interrupted, and by many workers."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_annoser import SpeechEncoder, TextEncoder
from sklearn_annoser.encoders import _loop, _models
from sklearn_annoser.encoders._audio import AudioError
from tests.encoders.conftest import make_wave, save_speech, save_text, save_whisper

# ---------------------------------------------------------------------- cache


def test_what_is_in_the_cache_is_not_embedded_again(wavlm, files, waves, tmp_path, embedded):
    first = SpeechEncoder(wavlm, cache_dir=tmp_path / "cache").fit(files)
    expected = first.transform(files)
    assert sum(embedded) == 6
    again = SpeechEncoder(wavlm, cache_dir=tmp_path / "cache").fit(files)
    np.testing.assert_array_equal(again.transform(files[::-1]), expected[::-1])
    assert sum(embedded) == 6
    again.transform(waves[:1])  # an array is not known by its file's content
    assert sum(embedded) == 7
    assert again.cache_info().n_vectors == 7
    assert again.cache_info().path.parent == tmp_path / "cache"


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 1},
        {"pooling": "std"},
        {"dtype": "bfloat16"},
        {"max_seconds": 1.0},
        {"layers": [1, 2], "combine": "mean"},
    ],
)
def test_everything_that_decides_a_vector_is_part_of_its_key(wavlm, files, tmp_path, embedded, options):
    SpeechEncoder(wavlm, cache_dir=tmp_path).fit_transform(files)
    other = SpeechEncoder(wavlm, cache_dir=tmp_path, **options).fit(files)
    cached = other.transform(files)
    assert sum(embedded) == 12
    np.testing.assert_allclose(cached, SpeechEncoder(wavlm, **options).fit_transform(files), atol=1e-5)


def test_what_does_not_decide_a_vector_is_not(wavlm, files, tmp_path, embedded):
    SpeechEncoder(wavlm, cache_dir=tmp_path).fit_transform(files)
    SpeechEncoder(wavlm, cache_dir=tmp_path, layers=3, batch_seconds=0.5, n_jobs=1, on_error="nan").fit_transform(files)
    assert sum(embedded) == 6


def test_another_model_and_another_file_under_the_same_name_are_noticed(wavlm, files, tmp_path, embedded):
    SpeechEncoder(wavlm, cache_dir=tmp_path / "cache").fit_transform(files)
    soundfile.write(files[3], make_wave(16_000, seed=99), 16_000, subtype="FLOAT")
    SpeechEncoder(wavlm, cache_dir=tmp_path / "cache").fit_transform(files)
    assert sum(embedded) == 7
    other = save_speech(tmp_path / "other", hidden_act="relu")
    SpeechEncoder(other, cache_dir=tmp_path / "cache").fit_transform(files)
    assert sum(embedded) == 13


def test_a_file_that_is_written_while_it_is_embedded_is_not_kept(wavlm, files, tmp_path, monkeypatch):
    encoder = SpeechEncoder(wavlm, cache_dir=tmp_path / "cache", on_error="nan").fit(files)
    item = encoder._check_item(files[0])
    assert pickle.loads(pickle.dumps(item)).seen == item.seen != ()  # as a worker gets it
    original = SpeechEncoder._measure

    def write(self, items):  # between the hash of its content and its reading
        soundfile.write(files[3], make_wave(16_000, seed=99), 16_000, subtype="FLOAT")
        return original(self, items)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(SpeechEncoder, "_measure", write)
        assert np.isnan(encoder.transform(files)).any(axis=1).tolist() == [False] * 3 + [True] + [False] * 2
        encoder.cache_clear()
        encoder.set_params(on_error="raise")
        with pytest.raises(AudioError, match=r"utterance3.wav' changed while it was read"):
            encoder.transform(files)
    np.testing.assert_allclose(encoder.transform(files), SpeechEncoder(wavlm).fit_transform(files), atol=1e-5)


def test_clearing_the_cache_keeps_that_of_others(wavlm, bert, files, texts, tmp_path, embedded):
    speech = SpeechEncoder(wavlm, cache_dir=tmp_path).fit(files)
    speech.transform(files)
    text = TextEncoder(bert, cache_dir=tmp_path).fit(texts)
    text.transform(texts)
    assert (speech.cache_info().n_vectors, text.cache_info().n_vectors) == (6, 5)
    assert speech.cache_info().n_vectors_total == 11
    speech.cache_clear()
    assert (speech.cache_info().n_vectors, text.cache_info().n_vectors) == (0, 5)


def test_without_a_cache_there_is_nothing_to_tell(wavlm, files):
    encoder = SpeechEncoder(wavlm).fit(files)
    for method in (encoder.cache_info, encoder.cache_clear):
        with pytest.raises(ValueError, match="this encoder has no cache: set cache_dir to a folder"):
            method()


def test_failures_are_not_cached(wavlm, some_broken, files, tmp_path, embedded):
    encoder = SpeechEncoder(wavlm, cache_dir=tmp_path / "cache", on_error="nan").fit(files)
    assert np.isnan(encoder.transform(some_broken)).any(axis=1).sum() == 3
    Path(some_broken[4]).write_bytes(Path(files[5]).read_bytes())
    assert np.isnan(encoder.transform(some_broken)).any(axis=1).sum() == 2


def test_what_was_embedded_before_an_error_is_kept(wavlm, files, some_broken, tmp_path, embedded):
    encoder = SpeechEncoder(wavlm, cache_dir=tmp_path / "cache", batch_seconds=0.01).fit(files)
    with pytest.raises(AudioError, match=r"cut\.wav"):  # the longest is read first, the header does not tell
        encoder.transform([*files, some_broken[4]])
    encoder.transform(files)
    assert sum(embedded) == 6


def test_a_grid_search_embeds_each_utterance_once(wavlm, tmp_path, embedded):
    X = [make_wave(2_000 + 50 * i, i) for i in range(20)]
    y = np.arange(20.0)
    model = make_pipeline(SpeechEncoder(wavlm, cache_dir=tmp_path), Ridge())
    GridSearchCV(model, {"ridge__alpha": [0.1, 1.0]}, cv=5, error_score="raise").fit(X, y)
    assert sum(embedded) == 20


def test_processes_that_share_a_cache_do_not_embed_the_same_twice(wavlm, tmp_path):
    X = [make_wave(2_000 + 50 * i, i) for i in range(30)]
    encoder = LoggingEncoder(wavlm, cache_dir=tmp_path / "cache", log=str(tmp_path), pause=0.3)
    model = make_pipeline(encoder, Ridge())
    GridSearchCV(model, {"ridge__alpha": [0.1, 1.0]}, cv=5, n_jobs=2, refit=False, error_score="raise").fit(
        X, np.arange(30.0)
    )
    logs = list(tmp_path.glob("*.log"))
    assert len(logs) >= 2, "two processes were to share the work"
    assert sum(len(log.read_text().split()) for log in logs) == 30


class LoggingEncoder(SpeechEncoder):
    """Writes a word for each utterance that it reads into a file of its process, slowly."""

    def __init__(self, model=None, *, cache_dir=None, log=None, pause=0.02):
        super().__init__(model, cache_dir=cache_dir, batch_seconds=0.1)
        self.log = log
        self.pause = pause

    def _read(self, item):
        with open(Path(self.log) / f"{os.getpid()}.log", "a") as file:
            file.write("read ")
        time.sleep(self.pause)
        return super()._read(item)


# ---------------------------------------------------------------------- interrupted


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests.encoders.test_loop import LoggingEncoder, make_wave
X = [make_wave(2_000 + 50 * i, i) for i in range(60)]
LoggingEncoder(sys.argv[2], cache_dir=sys.argv[3] + "/cache", log=sys.argv[3]).fit(X).transform(X)
"""


def test_rounds_take_about_the_seconds_that_they_may():
    assert _loop.rounds_within(1.0, 0.3, 8) == 3
    assert _loop.rounds_within(1.0, 5.0, 8) == 1
    assert _loop.rounds_within(1.0, 0.0, 8) == 8


def test_a_killed_run_goes_on_where_it_was(wavlm, tmp_path, monkeypatch):
    monkeypatch.setattr(_loop, "SECONDS_TO_STORE", 0.0)
    root = Path(__file__).parents[2]
    code = "from sklearn_annoser.encoders import _loop; _loop.SECONDS_TO_STORE = 0.0" + KILLED
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # of many cores each would have read the whole corpus ahead
    run = subprocess.Popen([sys.executable, "-c", code, root, wavlm, tmp_path], env=one_thread)
    log = tmp_path / f"{run.pid}.log"
    while run.poll() is None and not (log.exists() and len(log.read_text().split()) > 20):
        time.sleep(0.01)
    assert run.poll() is None
    run.send_signal(signal.SIGKILL)
    run.wait()
    X = [make_wave(2_000 + 50 * i, i) for i in range(60)]
    encoder = LoggingEncoder(wavlm, cache_dir=str(tmp_path / "cache"), log=str(tmp_path)).fit(X)
    n_kept = encoder.cache_info().n_vectors
    assert 5 < n_kept < 60
    start = time.monotonic()
    vectors = encoder.transform(X)
    assert time.monotonic() - start < 30  # what the dead process had claimed is not waited for
    assert len((tmp_path / f"{os.getpid()}.log").read_text().split()) == 60 - n_kept
    np.testing.assert_allclose(vectors, SpeechEncoder(wavlm).fit_transform(X), atol=1e-5)


def test_an_interrupted_run_keeps_what_it_made_and_frees_the_rest(wavlm, files, tmp_path, monkeypatch):
    encoder = SpeechEncoder(wavlm, cache_dir=tmp_path / "cache", batch_seconds=0.01).fit(files)
    monkeypatch.setattr(_models.FrozenModel, "n_workers", lambda self: 1)
    original = _models.FrozenModel._embed
    calls = []

    def interrupt(self, inputs, **options):
        calls.append(len(inputs))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, inputs, **options)

    monkeypatch.setattr(_models.FrozenModel, "_embed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        encoder.transform(files)
    assert encoder.cache_info().n_vectors == 2
    encoder.transform(files)
    assert sum(calls) == 3 + 4


# ---------------------------------------------------------------------- many workers, progress


def test_workers_give_the_same_vectors(wavlm, bert, files, texts):
    expected = SpeechEncoder(wavlm).fit_transform(files)
    encoder = SpeechEncoder(wavlm, n_jobs=2, batch_seconds=0.5).fit(files)
    np.testing.assert_allclose(encoder.transform(files), expected, atol=1e-5)
    text = TextEncoder(bert, batch_tokens=8)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        vectors = text.fit_transform(texts)
    np.testing.assert_allclose(vectors, TextEncoder(bert).fit_transform(texts), atol=1e-6)


@pytest.mark.parametrize("kind", ["wavlm", "data2vec-audio", "hubert", "whisper", "bert"])
def test_batches_that_are_embedded_at_once_give_the_same_vectors(tmp_path, kind, texts, monkeypatch):
    """Layers are tapped and padding is masked for the batch of a thread alone."""
    if kind == "bert":
        encoder, X = TextEncoder(save_text(tmp_path), layers=[0, 2], batch_tokens=12, pooling="mean"), texts * 4
    else:
        folder = save_whisper(tmp_path) if kind == "whisper" else save_speech(tmp_path, kind)
        encoder, X = (
            SpeechEncoder(folder, layers=[0, 1], batch_seconds=0.3),
            [make_wave(1_500 + 331 * i, i) for i in range(24)],
        )
    expected = encoder.fit(X).transform(X)
    monkeypatch.setattr(_models.FrozenModel, "n_workers", lambda self: 4)
    before = torch.get_num_threads()
    for _ in range(3):
        np.testing.assert_allclose(encoder.transform(X), expected, atol=1e-6)
    assert torch.get_num_threads() == before


def test_an_error_in_one_of_several_batches_stops_them_and_gives_the_threads_back(wavlm, waves, monkeypatch):
    encoder = SpeechEncoder(wavlm, batch_seconds=0.01).fit(waves)
    monkeypatch.setattr(_models.FrozenModel, "n_workers", lambda self: 2)
    monkeypatch.setattr(_models.FrozenModel, "_embed", lambda self, inputs, **how: 1 / 0)
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        encoder.transform(waves)
    assert torch.get_num_threads() == before


def test_an_unreadable_utterance_in_a_worker(wavlm, some_broken, files):
    encoder = SpeechEncoder(wavlm, n_jobs=2, on_error="nan", batch_seconds=0.5).fit(files)
    assert np.isnan(encoder.transform(some_broken)).any(axis=1).tolist() == [False, True, False, True, True]


def test_a_dask_cluster_of_two_workers(wavlm, tmp_path):
    distributed = pytest.importorskip("distributed")
    X = [make_wave(2_000 + 50 * i, i) for i in range(40)]
    expected = SpeechEncoder(wavlm).fit_transform(X)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        encoder = LoggingEncoder(wavlm, cache_dir=str(tmp_path / "cache"), log=str(tmp_path)).fit(X)
        vectors = encoder.transform(X)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert encoder.cache_info().n_vectors == 40
    assert len(list(tmp_path.glob("*.log"))) == 2


def test_the_progress_bar_tells_utterances_and_audio_time(wavlm, files, capfd):
    encoder = SpeechEncoder(wavlm, verbose=1).fit(files)
    capfd.readouterr()
    encoder.transform(files)
    shown = capfd.readouterr().err
    assert "6 of 6 utterances, 0:00:04 of 0:00:04" in shown
    encoder.set_params(verbose=0).transform(files)
    assert capfd.readouterr() == ("", "")
