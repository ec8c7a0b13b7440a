"""Vectors are the same whatever is set in torch for something else, and what this machine gets wrong is noticed."""

import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_annoser import SpeechEncoder, TextEncoder
from sklearn_annoser.encoders import _arithmetic, _loading
from sklearn_annoser.encoders._arithmetic import check_float32, plain_arithmetic
from sklearn_annoser.encoders._products import Product
from tests.encoders.conftest import load, save_speech

CPU = torch.device("cpu")
NEW = hasattr(torch._C, "_set_fp32_precision_setter")


def settings():
    """Return all that a user may have set in torch, as far as it is told."""
    found = [torch.get_default_dtype(), torch.empty(0).device, torch.is_autocast_enabled("cpu")]
    found.append(torch.are_deterministic_algorithms_enabled())
    for get in (torch.get_float32_matmul_precision, lambda: torch.backends.cudnn.allow_tf32):
        try:
            found.append(get())
        except RuntimeError:  # where old and new ways of setting it are mixed
            found.append(None)
    return found + [torch._C._get_fp32_precision_getter(*switch) for switch in _arithmetic.SWITCHES if NEW]


def restore(name):
    """Return a way back from a setting."""
    return {
        "dtype": lambda: torch.set_default_dtype(torch.float32),
        "device": lambda: torch.set_default_device(None),
        "deterministic": lambda: torch.use_deterministic_algorithms(False),
    }.get(name, lambda: None)


SET = {
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
}
if NEW:
    SET["all"] = lambda: setattr(torch.backends, "fp32_precision", "bf16")
    SET["matmul"] = lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16")
    SET["conv"] = lambda: setattr(torch.backends.mkldnn.conv, "fp32_precision", "bf16")


@pytest.fixture(autouse=True)
def torch_as_it_was():
    """Set everything in torch as it was before."""
    yield
    for name in SET:
        restore(name)()
    torch.set_float32_matmul_precision("highest")
    for switch in _arithmetic.SWITCHES if NEW else ():
        torch._C._set_fp32_precision_setter(*switch, "tf32" if switch[0] == "cuda" and switch[1] != "all" else "none")
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("name", SET)
def test_no_switch_of_torch_changes_a_vector_and_each_stays_as_it_was_set(wavlm, bert, waves, texts, name):
    right = SpeechEncoder(wavlm).fit_transform(waves), TextEncoder(bert).fit_transform(texts)
    _loading._load_model.cache_clear()
    SET[name]()
    before = settings()
    found = SpeechEncoder(wavlm).fit_transform(waves), TextEncoder(bert).fit_transform(texts)
    assert settings() == before
    for ours, theirs in zip(found, right, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_autocast_changes_no_vector(wavlm, bert, waves, texts):
    right = SpeechEncoder(wavlm).fit_transform(waves), TextEncoder(bert).fit_transform(texts)
    _loading._load_model.cache_clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = SpeechEncoder(wavlm).fit_transform(waves), TextEncoder(bert).fit_transform(texts)
        assert torch.is_autocast_enabled("cpu")
    for ours, theirs in zip(found, right, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_number_of_threads_changes_no_vector(bert, texts):
    n_threads, encoder = torch.get_num_threads(), TextEncoder(bert).fit(texts)
    vectors = []
    for n in (1, 2):
        torch.set_num_threads(n)
        vectors.append(encoder.transform(texts[:2]))
    torch.set_num_threads(n_threads)
    np.testing.assert_allclose(*vectors, atol=1e-5)


def test_inside_everything_is_float32_in_full():
    torch.set_float32_matmul_precision("medium")
    torch.set_default_dtype(torch.bfloat16)
    with plain_arithmetic(CPU):
        assert torch.zeros(1).dtype == torch.float32
        assert torch.get_float32_matmul_precision() != "medium" or NEW
        for switch in _arithmetic.SWITCHES if NEW else ():
            if switch[1] != "all":
                assert torch._C._get_fp32_precision_getter(*switch) == "ieee"
    assert torch.get_float32_matmul_precision() == "medium"
    torch.set_default_dtype(torch.float32)


def test_an_error_inside_sets_everything_back():
    torch.set_float32_matmul_precision("medium")
    before = settings()
    with pytest.raises(ZeroDivisionError), plain_arithmetic(CPU):
        _ = 1 / 0
    assert settings() == before


def test_threads_take_turns_and_leave_the_switches_as_they_were():
    torch.set_float32_matmul_precision("medium")
    before, seen = settings(), []

    def work():
        for _ in range(50):
            with plain_arithmetic(CPU):
                seen.append(torch.get_default_dtype())

    torch.set_default_dtype(torch.float64)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_default_dtype() == torch.float64
    torch.set_default_dtype(torch.float32)
    assert settings() == before
    assert set(seen) == {torch.float32}


# ---------------------------------------------------------------------- machines that calculate wrongly


def broken(original, is_hit):
    """Return an operation of a layer that gives noise where it is hit."""

    def forward(self, x, *args):
        output = original(self, x, *args)
        return torch.randn_like(output) if is_hit(self, x) else output

    return forward


def test_grouped_convolutions_in_bfloat16_are_not_used(wavlm, waves, monkeypatch):
    """As torch 2.13 has them on CPUs with AMX."""
    right = SpeechEncoder(wavlm).fit_transform(waves)
    _loading._load_model.cache_clear()
    forward = broken(nn.Conv1d._conv_forward, lambda layer, x: layer.groups > 1 and x.dtype == torch.bfloat16)
    monkeypatch.setattr(nn.Conv1d, "_conv_forward", forward)
    found = SpeechEncoder(wavlm, dtype="bfloat16").fit_transform(waves)
    assert 0 < np.abs(found - right).max() < 0.2


@pytest.mark.parametrize("kind", ["speech", "text"])
def test_a_network_that_is_wrong_in_bfloat16_is_noticed_when_it_is_loaded(wavlm, bert, monkeypatch, kind):
    _loading._load_model.cache_clear()
    for layer in (nn.Linear, Product):
        monkeypatch.setattr(layer, "forward", broken(layer.forward, lambda layer, x: x.dtype == torch.bfloat16))
    folder = wavlm if kind == "speech" else bert
    with pytest.raises(ValueError, match=r"dtype='bfloat16' gives wrong vectors .* off by \d+% .* dtype=\"float32\""):
        load(kind, folder, dtype="bfloat16")
    load(kind, folder)


@pytest.mark.parametrize("kind", ["wav2vec2", "data2vec-audio"])
def test_rounding_to_bfloat16_is_no_fault(tmp_path, kind, waves):
    folder = save_speech(tmp_path, kind)
    right, found = (SpeechEncoder(folder, dtype=dtype).fit_transform(waves) for dtype in ("float32", "bfloat16"))
    assert 0 < np.abs(found - right).max() < 0.3


@pytest.mark.parametrize("product", ["linear", "conv1d"])
def test_float32_of_fewer_digits_is_noticed(wavlm, monkeypatch, product):
    original = getattr(nn.functional, product)

    def rounded(left, right):
        return original(left.bfloat16().to(left.dtype), right) if left.dtype == torch.float32 else original(left, right)

    check_float32.cache_clear()
    _loading._load_model.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(nn.functional, product, rounded)
        with pytest.raises(ValueError, match=r"float32 products on the device 'cpu' are off by .*_FPMATH_MODE"):
            load("speech", wavlm)
    check_float32(CPU)


# ---------------------------------------------------------------------- dtype="auto"


@pytest.mark.parametrize(
    "has", [{}, {"avx512_f": True, "avx512_bf16": False}, {"avx512_bf16": True}, {"amx_bf16": True}]
)
def test_auto_is_bfloat16_where_the_cpu_has_instructions_for_it(bert, texts, tmp_path, monkeypatch, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    chosen = "bfloat16" if any(name.endswith("_bf16") and has[name] for name in has) else "float32"
    encoder = TextEncoder(bert, dtype="auto", cache_dir=tmp_path).fit(texts)
    assert encoder.dtype_ == chosen
    vectors = encoder.transform(texts)
    np.testing.assert_array_equal(vectors, TextEncoder(bert, dtype=chosen).fit_transform(texts))
    same = TextEncoder(bert, dtype=chosen, cache_dir=tmp_path).fit(texts)
    other = TextEncoder(bert, dtype=({"float32", "bfloat16"} - {chosen}).pop(), cache_dir=tmp_path).fit(texts)
    assert (same.cache_info().n_vectors, other.cache_info().n_vectors) == (len(texts), 0)
    assert "dtype='auto'" in repr(encoder)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)  # a worker on another machine
    again = pickle.loads(pickle.dumps(encoder)).set_params(cache_dir=None)
    np.testing.assert_array_equal(again.transform(texts), vectors)


def test_auto_is_float32_where_bfloat16_is_wrong(bert, texts, monkeypatch):
    right = TextEncoder(bert).fit_transform(texts)
    _loading._load_model.cache_clear()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    for layer in (nn.Linear, Product):
        monkeypatch.setattr(layer, "forward", broken(layer.forward, lambda layer, x: x.dtype == torch.bfloat16))
    with pytest.warns(RuntimeWarning, match=r"dtype='bfloat16' gives wrong vectors .* Use dtype=\"float32\", as "):
        encoder = TextEncoder(bert, dtype="auto").fit(texts)
    assert encoder.dtype_ == "float32"
    np.testing.assert_allclose(encoder.transform(texts), right, atol=1e-6)
