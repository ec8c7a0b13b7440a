"""Models are loaded whole or not at all, once a process, and quietly; their files are data, and never run."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from sklearn_annoser import SpeechEncoder
from sklearn_annoser.encoders import _loading
from sklearn_annoser.encoders._loading import check_device
from tests.encoders.conftest import load, save_speech, save_text, save_whisper


def test_a_model_is_loaded_once_a_process_and_anew_when_its_files_change(tmp_path):
    folder = save_speech(tmp_path)
    first = load("speech", folder)
    assert load("speech", folder) is first
    save_speech(tmp_path, hidden_act="relu")
    second = load("speech", folder)
    assert second is not first
    assert second.fingerprint != first.fingerprint


def test_the_fingerprint_is_that_of_weights_configuration_and_processor(tmp_path):
    prints = [load("speech", save_speech(tmp_path / "one")).fingerprint]
    prints.append(load("speech", save_speech(tmp_path / "same")).fingerprint)
    prints.append(load("speech", save_speech(tmp_path / "layer_norm_eps", layer_norm_eps=1e-3)).fingerprint)
    folder = Path(save_speech(tmp_path / "normalised"))
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    prints.append(load("speech", str(folder)).fingerprint)
    folder = save_speech(tmp_path / "weight")
    network = transformers.AutoModel.from_pretrained(folder)
    network.encoder.layers[2].feed_forward.output_dense.weight.data[3, 3] += 1e-3
    network.save_pretrained(folder)
    prints.append(load("speech", folder).fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_the_fingerprint_is_that_of_the_files_not_of_what_transformers_makes_of_them(tmp_path, monkeypatch):
    folder = Path(save_text(tmp_path))
    first = load("text", str(folder)).fingerprint
    _loading._load_model.cache_clear()
    monkeypatch.setattr(transformers.BertConfig, "to_dict", lambda self: {"new": "key"})
    monkeypatch.setattr(transformers.PreTrainedTokenizerFast, "get_vocab", lambda self: {})
    for name in ("README.md", "LICENSE", ".gitattributes", "tf_model.h5", "training_args.bin", "pytorch_model.bin"):
        (folder / name).write_text("beside what is loaded")
    (folder / "onnx").mkdir()
    assert load("text", str(folder)).fingerprint == first
    (folder / "vocabulary.of.a.kind.unknown").write_text("may be read")
    assert load("text", str(folder)).fingerprint != first


@pytest.fixture
def on_the_hub(tmp_path, monkeypatch):
    """A small BERT in the cache of the hub, as "lab/bert"; returns the folder of its one commit."""
    from huggingface_hub import constants

    root = tmp_path / "hub" / "models--lab--bert"
    commit = "0123456789" * 4
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(transformers.utils.hub, "TRANSFORMERS_CACHE", str(tmp_path / "hub"), raising=False)  # before 5
    _loading._load_model.cache_clear()
    return save_text(root / "snapshots" / commit)


def test_a_model_of_the_hub_is_that_of_a_folder_with_its_files(on_the_hub, tmp_path):
    shutil.copytree(on_the_hub, tmp_path / "copy")
    hub, folder = load("text", "lab/bert"), load("text", str(tmp_path / "copy"))
    assert hub.fingerprint == folder.fingerprint
    _loading._load_model.cache_clear()
    name = Path(on_the_hub) / "tokenizer.json"
    name.write_text(name.read_text().replace("thank", "frank"))
    assert load("text", "lab/bert").fingerprint != hub.fingerprint


def test_another_folder_with_equal_sizes_and_times_is_another_model(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(folders):
        save_speech(folder)
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + bytes([seed]))
        for each in folder.iterdir():
            os.utime(each, (1e9, 1e9))
    first = load("speech", str(folders[0])).fingerprint
    folders[0].rename(tmp_path / "old")
    folders[1].rename(folders[0])
    assert load("speech", str(folders[0])).fingerprint != first


def test_files_that_change_while_they_are_read_are_an_error(tmp_path, monkeypatch):
    folder = Path(save_speech(tmp_path / "model"))
    original = _loading._load_processor

    def write_on(*args):
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1] + b"x")
        return original(*args)

    with monkeypatch.context() as half_written:
        half_written.setattr(_loading, "_load_processor", write_on)
        with pytest.raises(OSError, match=r"model' could not be loaded: its files changed while they were read"):
            load("speech", str(folder))
    load("speech", str(folder))


# ---------------------------------------------------------------------- files of others are data

CODE = """open({mark!r}, "w").write("run")
from transformers import BertConfig, BertModel, BertTokenizerFast
class OtherConfig(BertConfig): model_type = "other"
class OtherModel(BertModel): config_class = OtherConfig
class OtherTokenizer(BertTokenizerFast): pass
"""
ASKS = {
    "config.json": {"auto_map": {"AutoConfig": "other.OtherConfig", "AutoModel": "other.OtherModel"}},
    "tokenizer_config.json": {"auto_map": {"AutoTokenizer": [None, "other.OtherTokenizer"]}},
    "preprocessor_config.json": {"auto_map": {"AutoFeatureExtractor": "elsewhere/repo--other.Other"}},
}


@pytest.mark.parametrize("name", ASKS)
@pytest.mark.parametrize("more", [{}, {"model_type": "other", "tokenizer_class": "OtherTokenizer"}])
def test_code_that_comes_with_a_model_is_never_run(tmp_path, monkeypatch, name, more):
    mark, folder = tmp_path / "mark", Path(save_text(tmp_path / "model"))
    (folder / "other.py").write_text(CODE.format(mark=str(mark)))
    path = folder / name
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | ASKS[name] | more))
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("nobody is to be asked"))
    with pytest.raises(
        OSError, match=rf"its {name} asks for Python code that comes with it \(auto_map\), .* never run"
    ):
        load("text", str(folder))
    assert not mark.exists()


def test_code_that_comes_with_a_model_of_the_hub_is_never_run(on_the_hub, tmp_path):
    path = Path(on_the_hub) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "other"} | ASKS["config.json"]))
    (path.parent / "other.py").write_text(CODE.format(mark=str(tmp_path / "mark")))
    with pytest.raises(OSError, match=r"its config.json asks for Python code that comes with it \(auto_map\)"):
        load("text", "lab/bert")
    assert not (tmp_path / "mark").exists()


class Evil:
    """Makes a file where its pickle is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", ["pickle", "torch"])
def test_pickles_are_not_run(tmp_path, protocol):
    folder = Path(save_text(tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    if protocol == "torch":
        torch.save({"embeddings": Evil(tmp_path / "mark")}, folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "mark"), protocol=2))
    with pytest.raises(OSError, match=r"the model in the folder '.*model' could not be loaded"):
        load("text", str(folder))
    assert not (tmp_path / "mark").exists()


def test_weights_of_torch_are_taken_where_there_are_no_others(tmp_path, waves):
    folder = Path(save_speech(tmp_path / "model"))
    right = SpeechEncoder(folder).fit_transform(waves[:2])
    torch.save(transformers.AutoModel.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    first = load("speech", str(folder)).fingerprint
    (folder / "model.safetensors").unlink()
    np.testing.assert_allclose(SpeechEncoder(folder).fit_transform(waves[:2]), right, atol=1e-6)
    assert load("speech", str(folder)).fingerprint != first


@pytest.mark.parametrize(
    ("kind", "save", "message"),
    [
        ("speech", save_text, r"of the type 'bert', which SpeechEncoder cannot take. It takes wavlm, .* TextEncoder"),
        ("text", save_speech, r"of the type 'wavlm', not one of text.*SpeechEncoder"),
        ("text", save_whisper, r"of the type 'whisper', not one of text"),
    ],
)
def test_a_model_of_the_wrong_kind(tmp_path, kind, save, message):
    with pytest.raises(ValueError, match=message):
        load(kind, save(tmp_path))


def test_weights_that_are_not_in_the_files_would_be_random(tmp_path):
    folder = save_speech(tmp_path)
    network = transformers.AutoModel.from_pretrained(folder)
    state = {name: weight for name, weight in network.state_dict().items() if "layers.1.attention.k_proj" not in name}
    network.save_pretrained(folder, state_dict=state)
    with pytest.raises(
        OSError, match=r"lack 2 weights of the network, such as 'encoder.layers.1.attention.k_proj.bias'"
    ):
        load("speech", folder)


def test_unused_weights_may_be_missing(tmp_path, texts):
    folder = save_text(tmp_path)
    network = transformers.AutoModel.from_pretrained(folder)
    state = {name: weight for name, weight in network.state_dict().items() if "pooler" not in name}
    network.save_pretrained(folder, state_dict=state)
    prints = set()
    for _ in range(2):  # a random pooler must not change the fingerprint
        _loading._load_model.cache_clear()
        prints.add(load("text", folder).fingerprint)
    assert len(prints) == 1


def test_a_speech_model_without_feature_extractor(tmp_path):
    with pytest.raises(OSError, match=r"no preprocessor_config.json.*Wav2Vec2FeatureExtractor"):
        load("speech", save_speech(tmp_path, processor=False))


@pytest.mark.parametrize("damage", ["cut weights", "no weights", "no config", "config"])
def test_a_damaged_folder(tmp_path, damage):
    folder = Path(save_speech(tmp_path / "model"))
    weights = folder / "model.safetensors"
    if damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "no weights":
        weights.unlink()
    elif damage == "no config":
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text("{")
    with pytest.raises(OSError, match=r"the model in the folder '.*model' could not be loaded: \S"):
        load("speech", str(folder))


@pytest.mark.parametrize("local", [True, False])
def test_a_model_that_is_nowhere(local):
    with pytest.raises(OSError, match=r"'nobody/nothing' is no folder .*hf download nobody/nothing --local-dir FOLDER"):
        load("speech", "nobody/nothing", local_files_only=local)


def test_a_folder_under_the_home_folder(wavlm, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(wavlm, tmp_path / "models" / "wavlm")
    assert load("speech", "~/models/wavlm").model_type == "wavlm"


@pytest.mark.parametrize("device", ["cuda:99", "gpu", 7, None])
def test_a_device_that_is_not_there(device):
    with pytest.raises(ValueError, match=r"device .* is not on this machine, which has \['cpu'"):
        check_device(device)


def test_auto_is_a_gpu_if_there_is_one():
    assert check_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_loading_is_quiet_and_leaves_logging_as_it_was(tmp_path, capfd):
    transformers.utils.logging.set_verbosity_warning()
    load("text", save_text(tmp_path))
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.get_verbosity() == transformers.logging.WARNING
