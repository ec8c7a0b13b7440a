"""Padding never leaks into a vector, and layers are those of transformers."""

import numpy as np
import pytest
import torch
import transformers
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from tests.encoders.conftest import load, make_wave, save_speech, save_text

# Every kind of network, with the settings by which padding could get in.
SPEECH = {
    "wavlm, group norm": ("wavlm", {}),
    "wavlm, layer norm": ("wavlm", {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}),
    "wav2vec2": ("wav2vec2", {}),
    "wav2vec2, adapter": ("wav2vec2", {"add_adapter": True}),
    "hubert": ("hubert", {}),
    "hubert, batch norm": ("hubert", {"conv_pos_batch_norm": True}),
    "data2vec-audio": ("data2vec-audio", {"conv_pos_kernel_size": 5, "num_conv_pos_embeddings": 3}),
    "unispeech": ("unispeech", {}),
    "unispeech-sat": ("unispeech-sat", {}),
}
TEXT = {"bert": ("bert", {}), "roberta": ("roberta", {}), "distilbert": ("distilbert", {"n_layers": 3, "dim": 32})}
EVERYTHING = {"average": False, "poolings": ["mean", "std", "max", "first"]}


def one_by_one(model, inputs, layers, **options):
    """Embed each input by itself."""
    return np.concatenate([model.embed([each], layers=layers, **(EVERYTHING | options)) for each in inputs])


@pytest.fixture(scope="module", params=SPEECH, ids=str)
def speech_folder(request, tmp_path_factory):
    kind, settings = SPEECH[request.param]
    return save_speech(tmp_path_factory.mktemp("speech"), kind, **settings)


@pytest.fixture(scope="module", params=TEXT, ids=str)
def text_folder(request, tmp_path_factory):
    kind, settings = TEXT[request.param]
    return save_text(tmp_path_factory.mktemp("text"), kind, **settings)


# ---------------------------------------------------------------------- law: a batch changes nothing


def test_speech_in_a_batch_is_speech_by_itself(speech_folder, waves):
    model = load("speech", speech_folder)
    inputs = [model.pieces(wave, np.inf) for wave in waves]
    alone = one_by_one(model, inputs, [0, 1, 3])
    together = model.embed(inputs, layers=[0, 1, 3], **EVERYTHING)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(alone[3] - alone[4]).max() > 0.05  # and they differ


def test_whisper_in_a_batch_is_whisper_by_itself(whisper, waves):
    model = load("speech", whisper)
    inputs = [model.pieces(wave, np.inf) for wave in waves]
    together = model.embed(inputs, layers=[0, 1, 2], **EVERYTHING)
    np.testing.assert_allclose(together, one_by_one(model, inputs, [0, 1, 2]), atol=1e-5)


def test_text_in_a_batch_is_text_by_itself(text_folder, texts):
    model = load("text", text_folder)
    inputs = model.tokens(texts)
    together = model.embed(inputs, layers=[0, 1, 3], **EVERYTHING)
    np.testing.assert_allclose(together, one_by_one(model, inputs, [0, 1, 3]), atol=1e-5)


def test_the_law_would_be_broken_by_convolutions_over_padding(tmp_path, waves):
    """Group norm over a padded batch is what transformers does: the reason for the front end of our own."""
    network = transformers.AutoModel.from_pretrained(save_speech(tmp_path)).eval()
    lengths = [len(wave) for wave in waves[3:]]
    padded = torch.zeros(len(lengths), max(lengths))
    for row, wave in zip(padded, waves[3:], strict=True):
        row[: len(wave)] = torch.as_tensor(wave)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    with torch.inference_mode(), pytest.warns(UserWarning, match="key_padding_mask"):
        together = network(padded, attention_mask=mask).last_hidden_state
    n_frames = network._get_feat_extract_output_lengths(torch.tensor(lengths)).tolist()
    leaked = torch.stack([hidden[:n].mean(0) for hidden, n in zip(together, n_frames, strict=True)]).numpy()
    model = load("speech", str(tmp_path))
    alone = one_by_one(model, [[wave] for wave in waves[3:]], [3], poolings=["mean"])
    assert np.abs(leaked[:-1] - alone[:-1]).max() > 1e-3


# ---------------------------------------------------------------------- oracle: transformers itself, one by one


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_layers_of_speech_are_the_hidden_states_of_transformers(speech_folder, waves, layer):
    network = transformers.AutoModel.from_pretrained(speech_folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(speech_folder)
    network.adapter = None
    inputs = extractor(waves[4], sampling_rate=16_000, return_tensors="pt").input_values
    with torch.inference_mode():
        output = network(inputs, output_hidden_states=True)
    expected = output.last_hidden_state if layer == 3 else output.hidden_states[layer]
    model = load("speech", speech_folder)
    vector = model.embed([[waves[4]]], layers=[layer], average=False, poolings=["mean"])[0]
    np.testing.assert_allclose(vector, expected[0].mean(0).numpy(), atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_layers_of_text_are_the_hidden_states_of_transformers(text_folder, texts, layer):
    network = transformers.AutoModel.from_pretrained(text_folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(text_folder)
    inputs = tokenizer(texts[2], return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        expected = network(**inputs, output_hidden_states=True).hidden_states[layer][0]
    model = load("text", text_folder)
    vector = model.embed(model.tokens(texts[2:3]), layers=[layer], average=False, poolings=["mean", "first"])[0]
    np.testing.assert_allclose(vector, torch.cat([expected.mean(0), expected[0]]).numpy(), atol=1e-5)


def test_whisper_on_30_seconds_is_that_of_transformers(whisper):
    wave = make_wave(480_000)
    extractor = transformers.WhisperFeatureExtractor(feature_size=80)
    with torch.inference_mode():
        mel = extractor(wave, sampling_rate=16_000, return_tensors="pt").input_features
        expected = WhisperEncoder.from_pretrained(whisper).eval()(mel).last_hidden_state[0].mean(0).numpy()
    model = load("speech", whisper)
    vector = model.embed([[wave]], layers=[2], average=False, poolings=["mean"])[0]
    np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_a_whisper_with_a_decoder_gives_its_encoder(tmp_path, waves):
    torch.manual_seed(0)
    small = {"encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    config = transformers.WhisperConfig(d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=99, **small)
    config.pad_token_id = config.bos_token_id = config.eos_token_id = config.decoder_start_token_id = 1
    whole = transformers.WhisperModel(config)
    whole.save_pretrained(tmp_path / "whole")
    whole.encoder.save_pretrained(tmp_path / "encoder")
    options = {"layers": [2], "average": False, "poolings": ["mean"]}
    vectors = [load("speech", str(tmp_path / name)).embed([[waves[3]]], **options) for name in ("whole", "encoder")]
    np.testing.assert_allclose(*vectors, atol=1e-6)


# ---------------------------------------------------------------------- layers, pooling, pieces


def test_layers_after_the_deepest_do_not_run(wavlm, waves):
    model = load("speech", wavlm)
    ran = []
    hooks = [
        layer.register_forward_hook(lambda *args, i=i: ran.append(i))
        for i, layer in enumerate(model.network.encoder.layers)
    ]
    model.embed([[waves[3]]], layers=[1, 0], **EVERYTHING)
    for hook in hooks:
        hook.remove()
    assert ran == [0]


def test_an_error_in_the_network_leaves_no_hooks_behind(wavlm, waves, monkeypatch):
    model = load("speech", wavlm)
    hooks = [
        each for layer in model.network.encoder.layers for each in (layer._forward_hooks, layer._forward_pre_hooks)
    ]
    before = [list(each) for each in hooks]
    monkeypatch.setattr(model.network, "forward", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.embed([[waves[3]]], layers=[0, 1, 2], **EVERYTHING)
    assert [list(each) for each in hooks] == before


def test_pooling_is_over_time_and_layers_are_joined_or_averaged(wavlm, waves):
    model = load("speech", wavlm)
    with torch.inference_mode():
        hidden = next(model.hidden_states([[waves[3]]], [1, 3], np.inf)).double().numpy()
    joined = model.embed([[waves[3]]], layers=[1, 3], average=False, poolings=["mean", "std"])[0]
    expected = [pooled for frames in hidden for pooled in (frames.mean(0), frames.std(0))]
    np.testing.assert_allclose(joined, np.concatenate(expected), atol=1e-5)
    averaged = model.embed([[waves[3]]], layers=[1, 3], average=True, poolings=["max"])[0]
    np.testing.assert_allclose(averaged, hidden.mean(0).max(0), atol=1e-5)


@pytest.mark.parametrize("n_samples", [1, 399, 400, 16_000, 16_001, 48_123])
@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0, np.inf])
def test_pieces_are_the_whole_wave_no_longer_than_asked_and_about_equal(wavlm, n_samples, seconds):
    model = load("speech", wavlm)
    wave = make_wave(n_samples)
    pieces = model.pieces(wave, seconds * 16_000)
    joined = np.concatenate(pieces)
    np.testing.assert_array_equal(joined[:n_samples], wave)
    assert not joined[n_samples:].any()
    lengths = [len(piece) for piece in pieces]
    assert model.field <= min(lengths)
    assert max(lengths) <= max(seconds * 16_000 + model.hop, model.field)
    assert max(lengths) - min(lengths) <= 2 * model.hop


def test_frames_of_pieces_are_pooled_together(wavlm, waves):
    model = load("speech", wavlm)
    pieces = model.pieces(waves[5], 8_000)
    assert len(pieces) == 4
    parts = one_by_one(model, [[piece] for piece in pieces], [3], poolings=["max"])
    for budget in (np.inf, 0.1):  # all at once, one at a time
        whole = model.embed([pieces, [waves[1]]], layers=[3], average=False, poolings=["max"], budget=budget)
        np.testing.assert_allclose(whole[0], parts.max(0), atol=1e-5)


def test_whisper_is_never_given_more_than_30_seconds(whisper):
    model = load("speech", whisper)
    assert [len(piece) for piece in model.pieces(np.zeros(480_001, np.float32), np.inf)] == [240_000, 240_001]


def test_bfloat16_is_near_float32(wavlm, waves):
    single, half = (load("speech", wavlm, dtype=dtype) for dtype in ("float32", "bfloat16"))
    one, other = (each.embed([[waves[3]]], layers=[3], **EVERYTHING) for each in (single, half))
    assert other.dtype == np.float32
    assert 0 < np.abs(one - other).max() < 0.2
    assert single.fingerprint == half.fingerprint
