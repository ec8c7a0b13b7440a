"""Small random models in folders, as a user would have pretrained ones; tones as audio."""

import os
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: a name that is no folder fails at once

import numpy as np
import pytest
import soundfile

WORDS = ["thank", "you", "so", "much", "how", "dare", "do", "this", "to", "me", "what", "a", "day", "it", "is"]


def save_speech(folder, kind="wavlm", *, processor=True, **settings):
    """Save a random speech model of seven convolutions and three layers; biases are moved away from zero."""
    import torch
    import transformers

    torch.manual_seed(0)
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": [16] * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
    }
    config = transformers.AutoConfig.for_model(kind, **(small | settings))
    _save(transformers.AutoModel.from_config(config), folder)
    if processor:
        transformers.Wav2Vec2FeatureExtractor(do_normalize=kind != "wavlm").save_pretrained(folder)
    return str(folder)


def save_whisper(folder):
    """Save a random Whisper encoder by itself, without a feature extractor."""
    import torch
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    small = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    config = WhisperConfig(d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=99, **small)
    return _save(WhisperEncoder(config), folder)


def save_text(folder, kind="bert", **settings):
    """Save a random text model with a tokenizer of a few words."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate(special + sorted(set(WORDS)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "vocab_size": len(vocabulary),
        "pad_token_id": 0,
    }
    config = transformers.AutoConfig.for_model(kind, **(small | settings))
    return _save(transformers.AutoModel.from_config(config), folder)


def _save(model, folder):
    """Save a model, its biases moved away from zero, where padding could hide."""
    import torch
    import transformers

    for weight in model.parameters():
        if weight.ndim == 1:
            weight.data += 0.3 * torch.randn_like(weight)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    return str(folder)


def load(kind, folder, **options):
    """Load a model from a folder."""
    from sklearn_annoser.encoders._loading import load_model

    settings = {"revision": None, "local_files_only": True, "device": "cpu", "dtype": "float32"}
    return load_model(kind, folder, **(settings | options))


@pytest.fixture(scope="session")
def wavlm(tmp_path_factory):
    """A small WavLM with group norm, as base has it."""
    return save_speech(tmp_path_factory.mktemp("wavlm"))


@pytest.fixture(scope="session")
def whisper(tmp_path_factory):
    """A small Whisper encoder."""
    return save_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """A small BERT."""
    return save_text(tmp_path_factory.mktemp("bert"))


def make_wave(n_samples, seed=0):
    """Return a tone in noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_samples) / 16_000
    return (0.3 * np.sin(2 * np.pi * 300 * time) + 0.05 * rng.normal(size=n_samples)).astype(np.float32)


@pytest.fixture
def waves():
    """Waveforms of very different lengths at 16 kHz, the first shorter than the receptive field."""
    return [make_wave(n, seed) for seed, n in enumerate((300, 1_000, 5_003, 16_000, 9_321, 32_000))]


@pytest.fixture
def files(tmp_path, waves):
    """The same as files."""
    paths = [str(tmp_path / f"utterance{i}.wav") for i in range(len(waves))]
    for path, wave in zip(paths, waves, strict=True):
        soundfile.write(path, wave, 16_000, subtype="FLOAT")
    return paths


@pytest.fixture
def texts():
    """Texts of different lengths."""
    return ["thank you", "", "how dare you do this to me", "what a day " * 5, "you"]


@pytest.fixture
def some_broken(files, tmp_path):
    """Files of which three cannot be read: missing, no audio, cut."""
    (tmp_path / "noise.wav").write_bytes(b"this is no audio at all")
    whole = Path(files[5]).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    return [files[0], str(tmp_path / "missing.wav"), files[1], str(tmp_path / "noise.wav"), str(tmp_path / "cut.wav")]


@pytest.fixture
def embedded(monkeypatch):
    """The number of utterances in each batch that a model was given."""
    from sklearn_annoser.encoders import _models

    counts = []
    original = _models.FrozenModel._embed

    def spy(self, inputs, **options):
        counts.append(len(inputs))
        return original(self, inputs, **options)

    monkeypatch.setattr(_models.FrozenModel, "_embed", spy)
    return counts


@pytest.fixture
def old_file(tmp_path, monkeypatch):
    """A file that was written an hour ago."""
    from sklearn_annoser.encoders import _cache

    path = tmp_path / "audio.wav"
    path.write_bytes(b"one")
    now = time.time_ns() + 3_600_000_000_000
    monkeypatch.setattr(_cache.time, "time_ns", lambda: now)
    return str(path)
