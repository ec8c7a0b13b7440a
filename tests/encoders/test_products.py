"""Products in the place of layers: what they give is what transformers gives, and where it is not they are not used."""

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sklearn_annoser.encoders import _loading
from sklearn_annoser.encoders._arithmetic import plain_arithmetic
from sklearn_annoser.encoders._convolutions import Frames
from sklearn_annoser.encoders._products import GroupedProducts, Product, attend, by_rows, windows
from tests.encoders.conftest import load, make_wave, save_speech, save_text
from tests.encoders.test_models import SPEECH, TEXT

MORE = SPEECH | {
    "wav2vec2, other activations": ("wav2vec2", {"hidden_act": "relu", "feat_extract_activation": "gelu_new"}),
    "hubert, biases in convolutions": ("hubert", {"conv_bias": True}),
    "unispeech, layer norm": ("unispeech", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "unispeech-sat, clipped": ("unispeech-sat", {"hidden_act": "gelu_10", "feat_extract_activation": "gelu_10"}),
    "wavlm, other strides": ("wavlm", {"conv_kernel": [10, 8, 4], "conv_stride": [9, 8, 4], "conv_dim": [12, 20, 16]}),
    "wavlm, odd positions": ("wavlm", {"num_conv_pos_embeddings": 15, "num_conv_pos_embedding_groups": 2}),
    "data2vec-audio, biases": ("data2vec-audio", {"conv_bias": True, "num_conv_pos_embeddings": 2}),
}


def by_transformers(folder, waves):
    """Return the last hidden states of each waveform, as transformers gives them one at a time."""
    network = transformers.AutoModel.from_pretrained(folder).eval()
    network.adapter = None
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = [extractor(wave, sampling_rate=16_000, return_tensors="pt").input_values for wave in waves]
    with torch.inference_mode():
        return [network(each).last_hidden_state[0].numpy() for each in inputs]


def relative(found, expected):
    """Return how far numbers are off, relative to their size."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def hidden(model, waves):
    """Return the last hidden states of some waveforms in one batch."""
    with plain_arithmetic(model.device), torch.inference_mode():
        states = list(model.hidden_states([[wave] for wave in waves], [model.n_layers], np.inf))
    return [state[0].float().numpy() for state in states]


@pytest.mark.parametrize("name", MORE)
def test_every_kind_of_speech_model_gives_what_transformers_gives_and_does_it_by_products(tmp_path, name, waves):
    kind, settings = MORE[name]
    folder = save_speech(tmp_path, kind, **settings)
    model = load("speech", folder)
    kinds = {type(module) for module in model.network.modules()}
    assert {Frames, Product, GroupedProducts} <= kinds
    assert not kinds & {nn.Conv1d, nn.Linear}
    waves = [np.pad(wave, (0, max(0, model.field - len(wave)))) for wave in waves]
    for found, expected in zip(hidden(model, waves), by_transformers(folder, waves), strict=True):
        assert relative(found, expected) < 1e-5
    odd = [make_wave(20_000) * 1e-4, np.zeros(9_000, np.float32), (0.5 + make_wave(9_000) * 1e-2).astype(np.float32)]
    for found, expected in zip(hidden(model, odd), by_transformers(folder, odd), strict=True):
        assert relative(found, expected) < 1e-4  # transformers is off itself where a wave lies far from zero


@pytest.mark.parametrize("name", TEXT)
def test_text_models_have_no_linear_layers_left(tmp_path, name):
    kind, settings = TEXT[name]
    model = load("text", save_text(tmp_path, kind, **settings))
    kinds = {type(module) for module in model.network.modules()}
    assert Product in kinds
    assert nn.Linear not in kinds


# ---------------------------------------------------------------------- fuzz against torch in float64

SIZES = st.integers(1, 5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SIZES, SIZES, SIZES, SIZES, st.integers(0, 700), st.booleans(), st.sampled_from(["none", "layer", "group"]))
def test_a_stack_of_any_convolutions_is_that_of_torch(n_in, n_out, kernel, stride, more, bias, norm):
    torch.manual_seed(more)
    n_norm = {"none": None, "layer": nn.LayerNorm(n_in), "group": nn.GroupNorm(n_in, n_in)}[norm]
    first, second = nn.Module(), nn.Module()
    first.conv, first.activation = nn.Conv1d(1, n_in, kernel, stride, bias=bias), nn.GELU()
    second.conv, second.activation = nn.Conv1d(n_in, n_out, stride, kernel, bias=bias), nn.SiLU()
    if n_norm is not None:
        nn.init.normal_(n_norm.weight)
        nn.init.normal_(n_norm.bias)
        first.layer_norm = n_norm
    stack = nn.Module()
    stack.conv_layers = nn.ModuleList([first, second])
    wave = torch.randn(1, kernel + stride * (stride + more))
    with torch.inference_mode():
        found = Frames(stack, torch.float32)(wave)
        expected = first.double().conv(wave.double()[:, None])
        if norm == "layer":
            expected = n_norm(expected.transpose(1, 2)).transpose(1, 2)
        elif norm == "group":
            expected = n_norm(expected)
        expected = second.activation(second.double().conv(first.activation(expected)))
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SIZES, SIZES, st.integers(1, 9), st.integers(0, 9), st.integers(1, 600), SIZES, st.booleans())
def test_grouped_products_are_grouped_convolutions(groups, width, kernel, padding, n_frames, n_waves, bias):
    torch.manual_seed(n_frames)
    conv = nn.Conv1d(groups * width, groups * 2, kernel, padding=padding, groups=groups, bias=bias)
    x = torch.randn(n_waves, groups * width, n_frames + kernel)
    with torch.inference_mode():
        found, expected = GroupedProducts(conv, torch.float32)(x), conv.double()(x.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_bfloat16_of_grouped_products_is_rounding():
    """Where torch 2.13 gets the convolution plainly wrong: few channels a group, on CPUs with AMX."""
    torch.manual_seed(0)
    conv = nn.Conv1d(32, 32, 16, padding=8, groups=4)
    x = torch.randn(2, 32, 300)
    with torch.inference_mode():
        found, expected = GroupedProducts(conv, torch.bfloat16)(x.bfloat16()).float(), conv(x)
    assert 0 < relative(found.numpy(), expected.numpy()) < 0.01


def test_rows_are_taken_a_few_at_a_time_and_none_is_lost():
    seen, sizes = torch.arange(2 * 600 * 3.0).view(2, 600, 3), []
    output = by_rows(lambda rows: sizes.append(rows.shape[1]) or rows.sum(-1, keepdim=True), seen, 1)
    torch.testing.assert_close(output, seen.sum(-1, keepdim=True))
    assert sizes == [256, 256, 88]
    assert windows(seen, 2, 3).shape == (2, 200, 6)


# ---------------------------------------------------------------------- where products are not used


def wrong(self, x):
    """Return what no layer gives."""
    return torch.randn(*x.shape[:-1], self.out_features, dtype=x.dtype)


def failing(self, x):
    """Fail as an operation does that this machine lacks."""
    raise RuntimeError("could not create a primitive descriptor")


@pytest.mark.parametrize("forward", [wrong, failing])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_that_are_wrong_or_fail_on_this_machine_are_not_used(wavlm, waves, monkeypatch, forward, dtype):
    expected = hidden(load("speech", wavlm, dtype=dtype), waves[3:])
    _loading._load_model.cache_clear()
    monkeypatch.setattr(Product, "forward", forward)
    model = load("speech", wavlm, dtype=dtype)
    assert not {Product, Frames, GroupedProducts} & {type(module) for module in model.network.modules()}
    for ours, theirs in zip(hidden(model, waves[3:]), expected, strict=True):
        assert relative(ours.astype(np.float32), theirs) < (1e-5 if dtype == "float32" else 0.1)
    _loading._load_model.cache_clear()


def test_convolutions_of_another_kind_are_left_alone(wavlm, waves, monkeypatch):
    expected = hidden(load("speech", wavlm), waves[3:])
    _loading._load_model.cache_clear()
    monkeypatch.setattr("sklearn_annoser.encoders._convolutions.PARTS", {"conv"})
    model = load("speech", wavlm)
    assert Frames not in {type(module) for module in model.network.modules()}
    for ours, theirs in zip(hidden(model, waves[3:]), expected, strict=True):
        assert relative(ours, theirs) < 1e-5
    _loading._load_model.cache_clear()


def test_weights_that_are_read_instead_of_used_are_those_of_the_layer():
    layer = nn.Linear(7, 5)
    product = Product(layer.weight, layer.bias, torch.float32)
    torch.testing.assert_close(product.weight, layer.weight.detach(), rtol=0, atol=0)
    assert product.weight_was_read


def test_without_onednn_products_are_linear_layers(wavlm, waves, monkeypatch):
    expected = hidden(load("speech", wavlm), waves[3:])
    _loading._load_model.cache_clear()
    monkeypatch.setattr("sklearn_annoser.encoders._products.can_pack", lambda: False)
    found = hidden(load("speech", wavlm), waves[3:])
    for ours, theirs in zip(found, expected, strict=True):
        assert relative(ours, theirs) < 1e-5
    _loading._load_model.cache_clear()


def test_the_attention_of_wavlm_may_be_told_whether_its_weights_are_wanted():
    class Attention(torch.nn.Module):
        num_heads = 2

        def __init__(self):
            super().__init__()
            self.q_proj, self.k_proj, self.v_proj, self.out_proj = (torch.nn.Linear(4, 4) for _ in range(4))

    torch.manual_seed(0)
    module, hidden, bias = Attention(), torch.randn(1, 3, 4), torch.zeros(2, 3, 3)
    with torch.no_grad():
        plain, told = attend(module, hidden, None, bias), attend(module, hidden, None, bias, False)
    assert torch.equal(plain[0], told[0])  # before transformers 5 it is
