"""`TextEncoder` and `BertEncoder`: columns of text to vectors."""

from __future__ import annotations

import os
import reprlib
import warnings
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from sklearn_annoser._validation import check_number
from sklearn_annoser.encoders._base import FrozenEncoder
from sklearn_annoser.encoders._batches import TOKENS_A_BATCH, budget_on
from sklearn_annoser.encoders._loop import Failures

__all__ = ["BertEncoder", "TextEncoder"]


class TextEncoder(FrozenEncoder):
    """Text to vectors by a frozen pretrained network: BERT, RoBERTa, MiniLM and their kin.

    Each text gets the hidden states of a layer, pooled over its tokens, special ones included. The vector of a text
    does not depend on what else is in its batch: padding is kept out of attention and pooling. Longer texts are cut to
    `max_tokens`, with a warning that says how many.

    Parameters
    ----------
    model : str or path, default="google-bert/bert-base-uncased"
        A folder with a saved model and its tokenizer, or a name on the Hugging Face hub.
    revision, local_files_only, layers, combine : default=None and False and -1 and "concat"
        Where the model comes from, and which of its hidden states are taken: as for :class:`SpeechEncoder`.
    pooling : {"first", "mean", "std", "mean+std", "max"}, default="first"
        How tokens become one vector; "first" is the [CLS] token of BERT.
    max_tokens : int, default=None
        Longest text, in tokens. None: the longest that the network can take.
    batch_tokens : int, default=None
        Tokens in a batch, padding included. None: 512 on a CPU, 65,536 on a GPU.
    device, dtype, n_jobs : default="auto" and "float32" and None
        Where, in what and by how many workers vectors are calculated: as for :class:`SpeechEncoder`.
    cache_dir : path, default=None
        Folder where vectors are kept, by the text and by everything that decides the vector; several processes may
        share it. None: nothing is kept.
    on_error : {"raise", "nan", "skip_warn"}, default="raise"
        What a text gets that is None or NaN or no string: an error, a row of NaN, or a row of NaN and a warning.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    fingerprint_ : str
        Hash of the files that decide its vectors: weights, configuration, tokenizer.
    dtype_ : str
        What the network calculates in, chosen in `fit`.
    layers_ : list of int
        The layers, counted from 0.
    hidden_size_ : int
        Width of one layer.
    model_type_ : str
        "bert", "roberta" ...: what the output columns are called after.
    n_features_in_ : int
        1.

    See Also
    --------
    BertEncoder : The same under the name of its default.
    SpeechEncoder : Vectors of audio.

    Examples
    --------
    >>> from sklearn_annoser import TextEncoder
    >>> encoder = TextEncoder("sentence-transformers/all-MiniLM-L6-v2", pooling="mean")
    >>> X = encoder.fit_transform(["how dare you", "thank you so much"])  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (2, 384)
    """

    KIND = "text"
    POOLINGS = ("first", "mean", "std", "mean+std", "max")

    def __init__(
        self,
        model: str | os.PathLike[str] = "google-bert/bert-base-uncased",
        *,
        revision: str | None = None,
        local_files_only: bool = False,
        layers: int | Sequence[int] | str = -1,
        combine: str = "concat",
        pooling: str = "first",
        max_tokens: int | None = None,
        batch_tokens: int | None = None,
        device: str = "auto",
        dtype: str = "float32",
        n_jobs: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        on_error: str = "raise",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            model,
            revision=revision,
            local_files_only=local_files_only,
            layers=layers,
            combine=combine,
            pooling=pooling,
            device=device,
            dtype=dtype,
            n_jobs=n_jobs,
            cache_dir=cache_dir,
            on_error=on_error,
            verbose=verbose,
        )
        self.max_tokens = max_tokens
        self.batch_tokens = batch_tokens

    def _check_parameters(self) -> None:
        """Check the parameters."""
        super()._check_parameters()
        for name in ("max_tokens", "batch_tokens"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), low=1, integer=True)

    def _check_item(self, item: Any) -> str:
        """Return a text."""
        if not isinstance(item, str):
            raise TypeError(f"a text must be a string, got {reprlib.repr(item)} of type {type(item).__name__}.")
        try:
            item.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the text {reprlib.repr(item)} has half a character in it: {error.reason}.") from error
        return str(item)

    def _identify(self, items: Mapping[int, str], cache: Any) -> tuple[dict[int, bytes], dict[int, Exception]]:
        """Return a hash of each text."""
        return {position: blake2b(text.encode(), digest_size=16).digest() for position, text in items.items()}, {}

    def _measure(self, items: Mapping[bytes, str]) -> tuple[dict[bytes, float], Failures]:
        """Return the number of tokens of each text, and warn if some are cut."""
        longest = self._max_tokens()
        counts = [len(tokens) for tokens in self._model().tokens(list(items.values()))]
        n_cut = sum(count > longest for count in counts)
        if n_cut:
            warnings.warn(f"{n_cut} of {len(items)} texts are longer than {longest} tokens and are cut.", stacklevel=4)
        return {key: float(min(count, longest)) for key, count in zip(items, counts, strict=True)}, {}

    def _read(self, item: str) -> list[int]:
        """Return the tokens of a text."""
        return self._model().tokens([item], self._max_tokens())[0]

    def _max_tokens(self) -> int:
        """Return how many tokens a text may have."""
        return min(self._model().longest, self.max_tokens or self._model().longest)

    def _budget(self) -> float:
        """Return how many tokens a batch may hold."""
        return self.batch_tokens or budget_on(self._model().device, TOKENS_A_BATCH)

    def _amount(self, total: float) -> str:
        """Return a number of tokens in words."""
        return f"{total:,.0f} tokens"

    def _longest(self) -> dict[str, Any]:
        """Return how many tokens a text may have."""
        return {"max_tokens": self._max_tokens()}


class BertEncoder(TextEncoder):
    """Text to the [CLS] vector of BERT (base, uncased), as in the paper: `TextEncoder` under the name of its default.

    It takes the parameters of :class:`TextEncoder`, and any of its models.

    Examples
    --------
    >>> from sklearn_annoser import BertEncoder
    >>> BertEncoder(cache_dir="vectors").pooling
    'first'

    References
    ----------
    J. Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", NAACL 2019,
    https://doi.org/10.18653/v1/N19-1423
    """
