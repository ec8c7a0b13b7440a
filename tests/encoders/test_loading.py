"""Models are loaded whole or not at all, once a process, and quietly."""

import shutil
from pathlib import Path

import pytest
import torch
import transformers

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
