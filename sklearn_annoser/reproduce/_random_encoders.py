"""Encoders with random weights, to try the experiment without any download."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sklearn_annoser._optional import import_transformers
from sklearn_annoser.reproduce._files import fill_folder

__all__ = ["write_random_encoders"]

SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}


def write_random_encoders(folder: str | os.PathLike[str]) -> tuple[str, str]:
    """Write a small WavLM and a small BERT with random weights, to try the experiment without any download.

    Parameters
    ----------
    folder : path
        Where to write.

    Returns
    -------
    speech, text : str
        The folders of the two, each there only once it is whole.
    """
    import_transformers()
    folder = Path(folder)
    fill_folder(folder / "wavlm", _write_wavlm)
    fill_folder(folder / "bert", _write_bert)
    return str(folder / "wavlm"), str(folder / "bert")


def _write_wavlm(folder: Path) -> None:
    """Write a WavLM."""
    with _random_weights() as transformers:
        groups = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
        config = transformers.WavLMConfig(**SMALL, conv_dim=[32] * 7, **groups)
        transformers.WavLMModel(config).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)


def _write_bert(folder: Path) -> None:
    """Write a BERT whose words are single letters."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters)]
    with _random_weights() as transformers:
        (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        transformers.BertTokenizerFast.from_pretrained(str(folder)).save_pretrained(folder)
        transformers.BertModel(transformers.BertConfig(**SMALL, vocab_size=len(vocabulary))).save_pretrained(folder)


@contextmanager
def _random_weights() -> Iterator[Any]:
    """Give transformers, with weights that are drawn from a seed of their own."""
    import torch

    transformers = import_transformers()
    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield transformers
