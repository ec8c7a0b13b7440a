"""`RatingsNet`: how skorch's loop goes over batches of ratings: datasets, steps, losses and records."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from sklearn.utils import check_array
from skorch import NeuralNet
from torch import Tensor
from torch.utils.data import Subset

from sklearn_annoser.network._data import Batch, RatingsDataset, as_tensor
from sklearn_annoser.network._loss import mixture_divergence
from sklearn_annoser.network._optim import clip_gradients


class RatingsNet(NeuralNet):
    """A skorch net whose y are Ratings, for a module of heads; what it is told stands in `MultiHeadNet`."""

    train_split: Any
    max_epochs: int
    consensus_head: bool
    variance_heads: bool
    max_grad_norm: float | None

    def initialize_optimizer(self, triggered_directly: Any = None) -> Self:
        """Make the optimizer, and the gradients of the heads as it wants them."""
        super().initialize_optimizer()
        self.module_.sparse_heads = self._is_lazy
        return self

    @property
    def _is_lazy(self) -> bool:
        """Whether the optimizer updates rows only when they are read."""
        return hasattr(self.optimizer_, "catch_up")

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start an epoch's record, and forget the single batches of the last: they would swell memory and pickles."""
        self._drop_batch_records()
        super().on_epoch_begin(net, **kwargs)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Forget what only the training needed: the records of single batches."""
        super().on_train_end(net, **kwargs)
        self._drop_batch_records()

    def _drop_batch_records(self) -> None:
        if len(self.history):
            self.history[-1]["batches"] = []

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, *, split: Any = None, **kwargs: Any) -> Any:
        """Run the epochs on data that are split already, which keeps groups out of skorch's routing of metadata."""
        train, valid = self.get_split_datasets(X, y) if split is None else split
        iterator_train = self.get_iterator(train, training=True)
        iterator_valid = None if valid is None else self.get_iterator(valid, training=False)
        for _ in range(self.max_epochs if epochs is None else epochs):
            self.notify("on_epoch_begin", dataset_train=train, dataset_valid=valid)
            self.run_single_epoch(iterator_train, training=True, prefix="train", step_fn=self.train_step)
            self.run_single_epoch(iterator_valid, training=False, prefix="valid", step_fn=self.validation_step)
            self.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)
        return self

    def get_dataset(self, X: Any, y: Any = None, sample_weight: Any = None) -> RatingsDataset:
        """Return features and Ratings as a dataset, checked unless `X` is a tensor or a dataset already."""
        if isinstance(X, RatingsDataset):
            return X
        return RatingsDataset(check_features(X), y, self.consensus_head, sample_weight)

    def get_split_datasets(
        self, X: Any, y: Any = None, groups: Any = None, **fit_params: Any
    ) -> tuple[RatingsDataset, RatingsDataset | None]:
        """Return the training and the validation part, None without a split."""
        if not self.train_split:
            return self.get_dataset(X, y), None
        train, valid = super().get_split_datasets(self.get_dataset(X, y), groups=groups, **fit_params)
        return _as_ratings_dataset(train), _as_ratings_dataset(valid)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Catch the batch's heads up, then compute loss and gradients."""
        if not self.module_.training:  # a callback has predicted
            self._set_training(True)
        Xi = batch[0].to(self.device)
        if self._is_lazy:
            self.optimizer_.catch_up(self.module_.heads, Xi.heads)
        y_pred = self.module_(Xi)
        loss = self.get_loss(y_pred, Xi.y, X=Xi, training=True)
        loss.backward()
        if self.max_grad_norm is not None:
            clip_gradients(self.module_.parameters(), self.max_grad_norm)
        return {"loss": loss, "y_pred": y_pred}

    def get_loss(self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False) -> Tensor:
        """Return the loss of a batch: of the individual ratings, plus of the consensus and the variances if learned."""
        losses = self._losses(self._terms(y_pred, X))
        return sum(losses[1:], start=losses[0])

    def _terms(self, y_pred: Tensor, batch: Batch) -> list[tuple[Any, ...]]:
        """Return predictions, ratings and weights of the annotators and of a consensus, then any divergences."""
        means = y_pred[:, : batch.y.shape[1]]
        sides = list(zip(batch.parts(means), batch.parts(batch.y), batch.parts(batch.weight), strict=True))
        return [*sides, _divergence(y_pred, batch)] if self.variance_heads else sides

    def _losses(self, terms: list[tuple[Any, ...]]) -> list[Tensor]:
        """Return the loss of each term."""
        n_sides = len(terms) - self.variance_heads
        divergences = [_mean_divergence(*term) for term in terms[n_sides:]]
        return [self._criterion(*term) for term in terms[:n_sides]] + divergences

    def _criterion(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None) -> Tensor:
        """Return the loss; a criterion of the user's own need not know weights unless there are any."""
        return self.criterion_(y_pred, y_true) if weight is None else self.criterion_(y_pred, y_true, weight)

    def run_single_epoch(self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any) -> None:
        """Run one pass; the validation loss is that of all validation ratings at once."""
        if iterator is None:
            return
        self._set_training(training)
        if training:
            try:
                super().run_single_epoch(iterator, training, prefix, step_fn)
            finally:  # also if interrupted
                if self._is_lazy:
                    self.optimizer_.flush()
            return
        terms = []
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=False)
            Xi = batch[0].to(self.device)
            step = step_fn((Xi, Xi.y))
            terms.append(self._terms(step["y_pred"], Xi))
            self.notify("on_batch_end", batch=batch, training=False, **step)
        whole = [tuple(_joined(parts) for parts in zip(*same, strict=True)) for same in zip(*terms, strict=True)]
        self.history.record_batch(f"{prefix}_loss", sum(map(float, self._losses(whole))))
        self.history.record_batch(f"{prefix}_batch_size", len(iterator.dataset))

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Predict the ratings of one block of validation samples."""
        with torch.inference_mode():
            return {"y_pred": self.module_(batch[0].to(self.device))}


def _divergence(y_pred: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Return the divergence of each sample's predicted mixture from its individual ratings, and its weight.

    Both are (n_samples, n_outputs); the weight is None if all count alike.
    """
    own = slice(batch.n_individual)
    mean, log_variance = y_pred[own].chunk(2, dim=1)  # (n_individual, n_outputs) both
    samples = batch.samples[own]
    if batch.weight is None:
        return mixture_divergence(mean, log_variance, batch.y[own], samples), None
    weight = batch.weight[own]
    divergence = mixture_divergence(mean, log_variance, batch.y[own], samples, weight > 0)
    index = samples.unsqueeze(1).expand_as(weight)  # all ratings of a sample have its weight, or 0 if not given
    return divergence, torch.zeros_like(divergence).scatter_reduce(0, index, weight, "amax")


def _mean_divergence(divergence: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean over samples and outputs."""
    if weight is None:
        return divergence.mean()
    return (divergence * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def _joined(parts: Any) -> Any:
    """Return tensors one after the other; None if they are None."""
    return None if parts[0] is None else torch.cat(parts)


def _as_ratings_dataset(part: Any) -> Any:
    """Return one side of a split as `RatingsDataset`: skorch's own splits answer with torch's subsets."""
    if not isinstance(part, Subset):
        return part
    whole: Any = part.dataset
    return whole.take(whole.rows[part.indices])


def check_features(X: Any) -> Tensor:
    """Return features as a float32 tensor: a tensor as it is, an array checked."""
    return as_tensor(X if isinstance(X, Tensor) else check_array(X, dtype=np.float32))
