"""Encoders with random weights, to try the experiment without any download."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sklearn_annoser._optional import import_transformers
from sklearn_annoser._validation import check_option
from sklearn_annoser.reproduce._files import fill_folder

__all__ = ["write_random_encoders"]

SIZES: dict[str, dict[str, Any]] = {  # the real ones are what configurations are by default
    "small": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96},
    "base": {},
}


def write_random_encoders(folder: str | os.PathLike[str], *, size: str = "small") -> tuple[str, str]:
    """Write a WavLM and a BERT with random weights, to try the experiment without any download.

    Parameters
    ----------
    folder : path
        Where to write.
    size : {"small", "base"}, default="small"
        As small as may be, or of the size of the real ones, to time them.

    Returns
    -------
    speech, text : str
        The folders of the two, each there only once it is whole.
    """
    import_transformers()
    folder = Path(folder)
    check_option("size", size, SIZES)
    fill_folder(folder / "wavlm", partial(_write_wavlm, size=size))
    fill_folder(folder / "bert", partial(_write_bert, size=size))
    return str(folder / "wavlm"), str(folder / "bert")


def _write_wavlm(folder: Path, size: str) -> None:
    """Write a WavLM."""
    convolutions = {"conv_dim": [32] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    with _random_weights() as transformers:
        config = transformers.WavLMConfig(**SIZES[size], **convolutions if size == "small" else {})
        transformers.WavLMModel(config).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)


def _write_bert(folder: Path, size: str) -> None:
    """Write a BERT whose words are single letters."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters)]
    with _random_weights() as transformers:
        (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        transformers.BertTokenizerFast.from_pretrained(str(folder)).save_pretrained(folder)
        transformers.BertModel(transformers.BertConfig(**SIZES[size], vocab_size=len(vocabulary))).save_pretrained(
            folder
        )


@contextmanager
def _random_weights() -> Iterator[Any]:
    """Give transformers, with weights that are drawn from a seed of their own."""
    import torch

    transformers = import_transformers()
    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield transformers
