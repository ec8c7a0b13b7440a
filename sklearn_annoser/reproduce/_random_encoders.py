"""Encoders with random weights, to try the experiment without any download."""

from __future__ import annotations

import os
from pathlib import Path

from sklearn_annoser._optional import import_transformers

__all__ = ["write_random_encoders"]


def write_random_encoders(folder: str | os.PathLike[str]) -> tuple[str, str]:
    """Write a small WavLM and a small BERT with random weights, to try the experiment without any download.

    Parameters
    ----------
    folder : path
        Where to write.

    Returns
    -------
    speech, text : str
        The folders of the two.
    """
    import torch

    transformers = import_transformers()
    speech, text = Path(folder) / "wavlm", Path(folder) / "bert"
    if not (text / "config.json").exists():  # the last to be written
        transformers.utils.logging.disable_progress_bar()
        small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            groups = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
            config = transformers.WavLMConfig(**small, conv_dim=[32] * 7, **groups)
            transformers.WavLMModel(config).save_pretrained(speech)
            transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(speech)
            special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
            text.mkdir(parents=True, exist_ok=True)
            vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters)]
            (text / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
            transformers.BertTokenizerFast.from_pretrained(str(text)).save_pretrained(text)
            transformers.BertModel(transformers.BertConfig(**small, vocab_size=len(vocabulary))).save_pretrained(text)
    return str(speech), str(text)
