"""The encoders as scikit-learn transformers: columns in, vectors out."""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from sklearn_annoser import AnnotatorMappedRegressor, BertEncoder, Ratings, SpeechEncoder, TextEncoder, WavLMEncoder
from sklearn_annoser.encoders._audio import AudioError
from tests.encoders.conftest import make_wave, save_speech

# ---------------------------------------------------------------------- columns in


def test_files_arrays_and_pairs_give_the_same_vectors(wavlm, files, waves):
    encoder = SpeechEncoder(wavlm).fit(files)
    expected = encoder.transform(files)
    assert expected.shape == (6, 32)
    assert expected.dtype == np.float32
    paths = [Path(path) for path in files]
    column = np.array(files, dtype=object)
    array = np.empty(len(waves), dtype=object)
    array[:] = waves
    for X in (
        tuple(files),
        paths,
        column,
        column[:, None],
        np.array(files),
        pd.Series(files, index=range(10, 16)),
        pd.DataFrame({"path": files}),
        waves,
        array,
        array[:, None],
        pd.Series(waves),
        [(wave, 16_000) for wave in waves],
        [np.stack([wave, wave], axis=1) for wave in waves],
    ):
        np.testing.assert_allclose(clone(encoder).fit_transform(X), expected, atol=1e-5)


def test_another_sampling_rate_is_resampled(wavlm, tmp_path):
    time_ = np.arange(48_000) / 48_000
    soundfile.write(tmp_path / "high.flac", 0.5 * np.sin(2 * np.pi * 300 * time_), 48_000)
    soundfile.write(tmp_path / "low.wav", 0.5 * np.sin(2 * np.pi * 300 * time_[::3]), 16_000)
    high, low = SpeechEncoder(wavlm).fit_transform([tmp_path / "high.flac", tmp_path / "low.wav"])
    np.testing.assert_allclose(high, low, atol=0.02)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("a.wav", TypeError, "X must be a column of utterances, such as a list or a Series, got 'a.wav'"),
        (3, TypeError, "X must be a column"),
        ({"path": ["a"]}, TypeError, "X must be a column"),
        ({"a.wav", "b.wav"}, TypeError, "X must be a column"),
        ([], ValueError, "X has 0 utterances"),
        (pd.DataFrame({"path": ["a"], "text": ["b"]}), ValueError, r"shape \(1, 2\).*make_column_transformer"),
        (np.zeros((2, 3)), ValueError, r"shape \(2, 3\)"),
        (np.array("a"), ValueError, r"shape \(\)"),
        ([None], AudioError, "position 0 cannot be embedded: it is missing"),
        (["a.wav", 3.0], AudioError, "position 1 cannot"),
        (np.zeros((3, 1)), AudioError, r"position 0 \(and 2 more of 3\) cannot"),
    ],
)
def test_what_is_no_column_of_speech(wavlm, X, error, message):
    with pytest.raises(error, match=message):
        SpeechEncoder(wavlm).fit(X)


@pytest.mark.parametrize("text", [None, np.nan, pd.NA, 3, b"bytes", ["a", "b"]])
def test_what_is_no_text(bert, text):
    with pytest.raises(TypeError, match=r"position 1 cannot be embedded: a text must be a string, got"):
        TextEncoder(bert).fit(["thank you", text])


def test_text_of_every_kind_of_column(bert, texts):
    expected = TextEncoder(bert).fit_transform(texts)
    for X in (
        np.array(texts),
        pd.Series(texts, dtype="string"),
        pd.Series(texts, dtype="category"),
        pd.DataFrame({"text": texts}),
    ):
        np.testing.assert_allclose(TextEncoder(bert).fit_transform(X), expected, atol=1e-6)


def test_any_script_is_text_but_half_a_character_is_not(bert):
    assert np.isfinite(TextEncoder(bert).fit_transform(["謝謝", "\x00", "é" * 3, "\U0001f600"])).all()
    with pytest.raises(ValueError, match=r"position 1 cannot be embedded: .* 'a\\ud800' .*surrogates not allowed"):
        TextEncoder(bert).fit(["you", "a\ud800"])


def test_long_texts_are_cut_with_a_warning(bert):
    encoder = TextEncoder(bert).fit(["you"])
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than 40 tokens and are cut"):
        long = encoder.transform(["thank you " * 30, "thank you"])[0]
    with pytest.warns(UserWarning, match="than 40 tokens"):
        longer = encoder.transform(["thank you " * 60])[0]
    np.testing.assert_allclose(long, longer, atol=1e-6)
    with pytest.warns(UserWarning, match="than 6 tokens"):
        TextEncoder(bert, max_tokens=6).fit_transform(["thank you " * 3])


def test_long_audio_is_cut_into_pieces(wavlm, embedded):
    wave = make_wave(40_000)
    whole, pieces = (SpeechEncoder(wavlm, max_seconds=s).fit_transform([wave])[0] for s in (60.0, 1.0))
    assert 0 < np.abs(whole - pieces).max() < 0.5


# ---------------------------------------------------------------------- vectors out


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["wavlm_0", "wavlm_31"]),
        ({"layers": [2]}, ["wavlm_0", "wavlm_31"]),
        ({"pooling": "mean+std"}, ["wavlm_mean_0", "wavlm_std_31"]),
        ({"layers": "all"}, ["wavlm_layer0_0", "wavlm_layer3_31"]),
        ({"layers": [-1, 0], "pooling": "mean+std"}, ["wavlm_layer3_mean_0", "wavlm_layer0_std_31"]),
        ({"layers": "all", "combine": "mean", "pooling": "max"}, ["wavlm_0", "wavlm_31"]),
    ],
)
def test_names_of_the_columns(wavlm, waves, options, names):
    encoder = SpeechEncoder(wavlm, **options).set_output(transform="pandas")
    frame = encoder.fit_transform(pd.Series(waves, index=list("abcdef")))
    found = list(frame.columns)
    assert [found[0], found[-1]] == names
    assert len(set(found)) == len(found)
    assert list(frame.index) == list("abcdef")
    assert encoder.n_features_in_ == 1


def test_each_column_is_what_its_name_says(wavlm, waves):
    def encode(**options):
        return SpeechEncoder(wavlm, **options).set_output(transform="pandas").fit_transform(waves)

    both = encode(layers=[1, 3], pooling="mean+std")
    np.testing.assert_allclose(both.filter(like="layer1_std"), encode(layers=1, pooling="std"), atol=1e-6)
    np.testing.assert_allclose(both.filter(like="layer3_mean"), encode(), atol=1e-6)
    average = encode(layers=[1, 3], combine="mean")
    expected = (encode(layers=1).to_numpy() + encode(layers=3).to_numpy()) / 2
    np.testing.assert_allclose(average, expected, atol=1e-6)


def test_the_order_of_utterances_and_of_batches_does_not_matter(wavlm, files):
    expected = SpeechEncoder(wavlm).fit_transform(files)
    order = [3, 0, 5, 5, 1]
    for batch_seconds in (0.01, 1.0, 100.0):
        vectors = SpeechEncoder(wavlm, batch_seconds=batch_seconds).fit_transform([files[i] for i in order])
        np.testing.assert_allclose(vectors, expected[order], atol=1e-5)


def test_utterances_that_occur_twice_are_embedded_once(wavlm, bert, files, waves, embedded):
    SpeechEncoder(wavlm).fit_transform([files[0], waves[1], files[0], waves[1].copy()])
    assert sum(embedded) == 2
    TextEncoder(bert).fit_transform(["you", "thank", "you"])
    assert sum(embedded) == 4


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layers": 4}, ValueError, "layers must be >= -4 and <= 3, got 4"),
        ({"layers": -5}, ValueError, "layers must be"),
        ({"layers": []}, ValueError, "at least|one layer, several different ones"),
        ({"layers": [1, 1]}, ValueError, "several different ones"),
        ({"layers": [3, -1]}, ValueError, "several different ones"),
        ({"layers": "last"}, TypeError, "layers must be an integer, got 'last'"),
        ({"layers": 1.0}, TypeError, "layers must be an integer"),
        (
            {"pooling": "first"},
            ValueError,
            r"pooling must be one of \['mean', .*, got 'first'",
        ),
        ({"combine": "sum"}, ValueError, "combine must be one of"),
        ({"dtype": "float64"}, ValueError, "dtype must be one of"),
        ({"on_error": "skip"}, ValueError, "on_error must be one of"),
        ({"max_seconds": 0}, ValueError, "max_seconds must be >= 0.1"),
        ({"batch_seconds": -1}, ValueError, "batch_seconds must be > 0"),
        ({"device": "cuda:99"}, ValueError, "device 'cuda:99' is not on this machine"),
        ({"cache_dir": 3}, TypeError, "cache_dir must be None or the path of a folder, got 3"),
        ({"cache_dir": b"a"}, TypeError, "cache_dir must be None or the path of a folder, got b'a'"),
        ({"cache_dir": "a\0"}, ValueError, "cache_dir must be .*: there is a null character in it"),
        ({"cache_dir": "a\ud800"}, ValueError, "cache_dir must be .*: .* surrogates not allowed"),
        ({"cache_dir": "~nobody-of-this-name/a"}, ValueError, "cache_dir must be .*: Could not determine home"),
        ({"model": None}, TypeError, "model must be a folder or the name"),
        ({"model": "nobody/nothing"}, OSError, "hf download nobody/nothing"),
    ],
)
def test_parameters_are_checked(wavlm, waves, options, error, message):
    with pytest.raises(error, match=message):
        SpeechEncoder(**({"model": wavlm} | options)).fit(waves)


@pytest.mark.parametrize("name", ["max_tokens", "batch_tokens"])
def test_parameters_of_text_are_checked(bert, name):
    with pytest.raises(ValueError, match=f"{name} must be >= 1, got 0"):
        TextEncoder(bert, **{name: 0}).fit(["you"])


def test_vectors_that_are_not_finite_are_an_error(tmp_path, waves):
    import transformers

    folder = save_speech(tmp_path)
    network = transformers.AutoModel.from_pretrained(folder)
    network.encoder.layers[2].final_layer_norm.bias.data[:] = np.inf
    network.save_pretrained(folder)
    with pytest.raises(ValueError, match="gives numbers that are not finite in float32"):
        SpeechEncoder(folder).fit_transform(waves)


# ---------------------------------------------------------------------- utterances that cannot be read


def test_an_error_names_the_file_the_position_and_the_way_out(wavlm, some_broken, files):
    encoder = SpeechEncoder(wavlm).fit(files)
    message = r"position 1 cannot be embedded: '.*missing.wav' does not exist.*on_error=\"nan\""
    with pytest.raises(AudioError, match=message):
        encoder.transform(some_broken)
    with pytest.raises(AudioError, match=r"position 1 cannot be embedded: '.*cut.wav' is truncated"):
        encoder.transform([files[0], some_broken[4]])


@pytest.mark.parametrize("on_error", ["nan", "skip_warn"])
def test_the_rest_is_kept(wavlm, some_broken, files, on_error):
    encoder = SpeechEncoder(wavlm, on_error=on_error).fit(files)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vectors = encoder.transform([*some_broken, None])
    np.testing.assert_allclose(vectors[[0, 2]], encoder.transform(files[:2]), atol=1e-5)
    assert np.isnan(vectors[[1, 3, 4, 5]]).all()
    messages = [str(each.message) for each in caught]
    assert len(messages) == (on_error == "skip_warn")
    if messages:
        assert messages[0].startswith("4 of 6 utterances get a row of NaN:\n  position 1: ")
        assert "noise.wav" in messages[0]
        assert "cut.wav" in messages[0]


def test_only_unreadable_utterances(wavlm, bert, files, tmp_path):
    encoder = SpeechEncoder(wavlm, on_error="nan").fit(files)
    assert np.isnan(encoder.transform([str(tmp_path / "a.wav"), None])).all()
    assert np.isnan(TextEncoder(bert, on_error="nan").fit_transform([None])).all()


# ---------------------------------------------------------------------- scikit-learn


CHECKS = [
    "estimator_cloneable",
    "estimator_repr",
    "estimator_tags_renamed",
    "get_params_invariance",
    "mixin_order",
    "no_attributes_set_in_init",
    "parameters_default_constructible",
    "set_params",
    "valid_tag_types",
]
ENCODERS = {"speech": SpeechEncoder, "wavlm": WavLMEncoder, "text": TextEncoder, "bert": BertEncoder}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_scikit_learn_checks_which_apply_to_text_and_files(encoder):
    # check_estimator runs hardly any on an estimator which does not take tables of numbers: these need no table.
    checks = [getattr(estimator_checks, f"check_{name}") for name in CHECKS]
    for check in checks:
        check(encoder.__name__, encoder())


def test_the_names_are_those_of_the_paper_with_its_models():
    assert WavLMEncoder().get_params() == SpeechEncoder().get_params()
    assert BertEncoder().get_params() == TextEncoder().get_params()
    assert (WavLMEncoder().model, WavLMEncoder().pooling) == ("microsoft/wavlm-base-plus", "mean")
    assert (BertEncoder().model, BertEncoder().pooling) == ("google-bert/bert-base-uncased", "first")


def test_tags_say_that_it_takes_strings():
    tags = SpeechEncoder().__sklearn_tags__().input_tags
    assert (tags.string, tags.one_d_array, tags.two_d_array) == (True, True, False)


def test_before_fit(wavlm):
    for method in (lambda e: e.transform(["a.wav"]), lambda e: e.get_feature_names_out(), lambda e: e.cache_info()):
        with pytest.raises(NotFittedError):
            method(SpeechEncoder(wavlm))


def test_another_column_than_at_fit(bert):
    encoder = TextEncoder(bert).fit(pd.DataFrame({"transcript": ["you"]}))
    assert list(encoder.feature_names_in_) == ["transcript"]
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        encoder.transform(pd.DataFrame({"text": ["you"]}))


def test_a_fitted_encoder_pickles_small_and_works_in_another_process(wavlm, files, tmp_path):
    encoder = SpeechEncoder(wavlm, pooling="mean+std").fit(files)
    expected = encoder.transform(files)
    assert len(pickle.dumps(encoder)) < 2_000
    joblib.dump((encoder, files), tmp_path / "encoder.joblib")
    code = (
        "import joblib, numpy, sys; encoder, files = joblib.load(sys.argv[1]);"
        "numpy.save(sys.argv[2], encoder.transform(files))"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "encoder.joblib", tmp_path / "out.npy"], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


def test_a_model_that_changed_after_fit_is_noticed(tmp_path, waves):
    folder = save_speech(tmp_path)
    encoder = SpeechEncoder(folder).fit(waves)
    save_speech(tmp_path, layer_norm_eps=0.1)
    with pytest.raises(ValueError, match="is not the one that the encoder was fitted with: fit it again"):
        encoder.transform(waves)
    encoder.fit(waves).transform(waves)


def test_html_shows_the_parameters(wavlm, files):
    html = SpeechEncoder(wavlm, pooling="max").fit(files)._repr_html_()
    assert "SpeechEncoder" in html
    assert "pooling" in html


def test_from_files_and_transcripts_to_an_annotator(wavlm, bert, tmp_path, embedded):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"path": [make_wave(4_000 + 100 * i, i) for i in range(24)], "transcript": ["thank you"] * 24})
    features = make_column_transformer((WavLMEncoder(wavlm), "path"), (BertEncoder(bert), "transcript"))
    ratings = Ratings.from_dense(rng.uniform(-1, 1, size=(24, 3)))
    model = make_pipeline(features, AnnotatorMappedRegressor(max_epochs=2, random_state=0)).fit(table, ratings)
    assert model[0].get_feature_names_out()[[0, -1]].tolist() == ["wavlmencoder__wavlm_0", "bertencoder__bert_31"]
    label = model[-1].select_annotator(model[:-1].transform(table[:20]), rng.uniform(-1, 1, size=20))
    assert label in model[-1].annotators_
    assert model.predict(table).shape == (24,)
