"""`RatingsNet`: how skorch's loop goes over batches of ratings: datasets, steps, losses and records."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping
from skorch.exceptions import NotInitializedError
from torch import Tensor
from torch.utils.data import Subset

from sklearn_annoser.network._callbacks import check_callbacks, check_something_learns
from sklearn_annoser.network._data import Batch, RatingsDataset
from sklearn_annoser.network._loss import CrossEntropy, mixture_divergence
from sklearn_annoser.network._optim import clip_gradients
from sklearn_annoser.network._quick_steps import QuickSteps, may_be_quick

LONG = 10  # times the patience: who allows as many epochs leaves it to early stopping to end them
LITTLE = 0.02  # share of the loss of a constant
TELLING = 100  # ratings: of fewer it is chance whether they agree with a constant


class RatingsNet(NeuralNet):
    """A skorch net whose y are Ratings, for a module of heads; what it is told stands in `MultiHeadNet`."""

    train_split: Any
    max_epochs: int
    patience: int
    lr: float
    device: Any
    consensus_head: bool
    variance_heads: bool
    max_grad_norm: float | None
    module_: Any
    optimizer_: Any
    callbacks_: list[tuple[str, Any]]
    _quick: QuickSteps | None = None  # while an epoch lasts
    _n_whole = 0  # epochs of this training that came to their end

    def initialize_optimizer(self, triggered_directly: Any = None) -> Self:
        """Make the optimizer, and the gradients of the heads as it wants them."""
        super().initialize_optimizer()
        self.module_.sparse_heads = self._is_lazy
        return self

    def check_is_fitted(self, attributes: Any = None, *args: Any, **kwargs: Any) -> None:
        """Raise unless the net is initialized, and the last `fit` came to something."""
        super().check_is_fitted(attributes, *args, **kwargs)
        if not self.initialized_:
            raise NotInitializedError(f"This {type(self).__name__} is not initialized yet: call fit.")

    @property
    def predict_proba(self) -> Any:
        """There is none, and `hasattr` says so."""
        raise AttributeError("a net of ratings has no predict_proba: see predict and predict_annotators.")

    @property
    def _is_lazy(self) -> bool:
        """Whether the optimizer updates rows only when they are read."""
        return hasattr(self.optimizer_, "catch_up")

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start an epoch's record, and forget the batches of the last, which would swell memory; but for one.

        Checkpoints look at it.
        """
        if len(self.history):
            del self.history[-1]["batches"][:-1]
        super().on_epoch_begin(net, **kwargs)

    def take_best_weights(self) -> None:
        """Go back to the best weights that early stopping has seen, if there is any."""
        for _, callback in self.callbacks_:
            if isinstance(callback, EarlyStopping):
                callback.on_train_end(self)
                callback.best_model_weights_ = None  # the module has them: a second copy swells memory and pickles
                self.optimizer_.state.clear()  # velocities of the last weights, which are not the best

    def _shape_of(self, dataset: RatingsDataset) -> dict[str, int]:
        """Return the sizes of the module that some data need."""
        return {
            "n_features": dataset.X.shape[1],
            "n_annotators": dataset.ratings.n_annotators + self.consensus_head,
            "n_outputs": dataset.ratings.n_outputs,
        }

    def _train(
        self, dataset: RatingsDataset, split: tuple[RatingsDataset, RatingsDataset | None], epochs: int | None = None
    ) -> None:
        """Run the epochs; an interruption keeps the best weights so far, and is passed on."""
        known, found = getattr(self, "shape_", {}), self._shape_of(dataset)
        if any(found[size] != n for size, n in known.items()):
            raise ValueError(f"the net was made for {known}, but the data have {found}. Call fit to start anew.")
        check_callbacks(self.callbacks_, sparse=self._is_lazy, validated=split[1] is not None)
        self.leave_inference()
        n_before, self._n_whole, interruption = len(self.history), 0, None
        self.notify("on_train_begin", X=dataset, y=None)
        try:
            self.fit_loop(dataset, split=split, epochs=epochs)
        except KeyboardInterrupt as error:  # early stopping ends a training by one too
            interruption = None if self._is_stopped else error
        try:
            if self._n_whole:
                self.take_best_weights()  # before a callback saves them
                del self.history[n_before + self._n_whole :]  # the record of a broken epoch
            self.notify("on_train_end", X=dataset, y=None)
        finally:
            del self.history[n_before + self._n_whole :]
            for epoch in self.history[n_before:]:
                epoch["batches"] = []
            if interruption is not None:
                raise KeyboardInterrupt(self._what_is_left(epochs or self.max_epochs)) from interruption

    def _what_is_left(self, most: int) -> str:
        """Say what came of an interrupted training."""
        if not self._n_whole:
            return "interrupted before the end of the first epoch"
        return (
            f"training was interrupted after {self._n_whole} of at most {most} epochs; the best weights so far are "
            "kept, and can be used"
        )

    def leave_inference(self) -> None:
        """Make weights that can be trained of those that the user has copied or loaded in torch.inference_mode."""
        if any(weights.is_inference() for weights in self.module_.parameters()):
            self.module_, self.optimizer_ = copy.deepcopy((self.module_, self.optimizer_))

    @property
    def _is_stopped(self) -> bool:
        """Whether early stopping has ended the training."""
        return any(isinstance(each, EarlyStopping) and each.misses_ >= each.patience for _, each in self.callbacks_)

    def _warn_if_little_is_learned(self, valid: RatingsDataset | None) -> Self:
        """Warn of a training that had the epochs to learn and did not, or did not come to its end."""
        ended = self._is_stopped
        if valid is None or not (ended or self._n_whole >= LONG * self.patience):
            return self
        n_ratings = int(np.diff(valid.ratings.indptr)[valid.rows].sum())
        gain = self.gain(valid) if n_ratings >= TELLING else 1.0
        if gain < LITTLE:
            warnings.warn(
                "training has learned next to nothing: with the best weights the loss of the validation ratings is "
                f"only {max(gain, 0):.1%} lower than that of a constant. See that the features are on one scale, for "
                f"example with StandardScaler, and that lr={self.lr} is neither too small nor too large.",
                ConvergenceWarning,
                stacklevel=4,
            )
        elif not ended and any(isinstance(each, EarlyStopping) for _, each in self.callbacks_):
            warnings.warn(
                f"training ended at max_epochs={self.max_epochs} while the validation loss was still falling. Raise "
                f"max_epochs, or lr={self.lr}.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Train in it; what fails or is interrupted leaves weights, optimizer and history as they were."""
        names = ("module_", "optimizer_", "history_", "shape_")
        kept = copy.deepcopy({name: vars(self)[name] for name in names if name in vars(self)})
        try:
            yield
        except BaseException:
            self.__dict__.update(kept)
            raise

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, *, split: Any = None, **kwargs: Any) -> Any:
        """Run the epochs on data that are split already, which keeps groups out of skorch's routing of metadata."""
        train, valid = self.get_split_datasets(X, y) if split is None else split
        iterator_train = self.get_iterator(train, training=True)
        iterator_valid = None if valid is None else self.get_iterator(valid, training=False)
        for _ in range(self.max_epochs if epochs is None else epochs):
            self.notify("on_epoch_begin", dataset_train=train, dataset_valid=valid)
            self.run_single_epoch(iterator_train, training=True, prefix="train", step_fn=self.train_step)
            self.run_single_epoch(iterator_valid, training=False, prefix="valid", step_fn=self.validation_step)
            self._n_whole += 1
            self.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)
        return self

    def get_dataset(self, X: Any, y: Any = None, sample_weight: Any = None) -> RatingsDataset:
        """Return features and Ratings as a dataset, unless `X` is one already."""
        if not isinstance(X, RatingsDataset):
            return RatingsDataset(X, y, self.consensus_head, sample_weight)
        if sample_weight is not None:
            raise ValueError("sample_weight goes into the RatingsDataset: RatingsDataset(X, y, sample_weight=...).")
        if X.consensus_head != self.consensus_head:
            raise ValueError(
                f"the RatingsDataset has consensus_head={X.consensus_head}, the net {self.consensus_head}: give both "
                "the same."
            )
        return X

    def get_split_datasets(
        self, X: Any, y: Any = None, groups: Any = None, **fit_params: Any
    ) -> tuple[RatingsDataset, RatingsDataset | None]:
        """Return the training and the validation part, None without a split."""
        if not self.train_split:
            return self.get_dataset(X, y), None
        split = super().get_split_datasets(self.get_dataset(X, y), groups=groups, **fit_params)
        train, valid = map(_as_ratings_dataset, split)
        if valid is not None and not np.array_equal(train.ratings.annotators, valid.ratings.annotators):
            raise ValueError(
                "the validation ratings must know the same annotators as those of the training, in the same order: "
                "take both from one Ratings."
            )
        return train, valid

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Train on one batch, and return its loss and predictions."""
        if self._quick is None:
            return super().train_step(batch, **fit_params)
        return self._quick.step(batch[0].to(self.device))

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Catch the batch's heads up, then compute loss and gradients."""
        if not self.module_.training:  # a callback has predicted
            self._set_training(True)
        Xi = batch[0].to(self.device)
        if self._is_lazy:
            self.optimizer_.catch_up(self.module_.heads, Xi.heads)
        y_pred = self.module_(Xi)
        loss = self.get_loss(y_pred, Xi.y, X=Xi, training=True)
        check_something_learns(loss, self.callbacks_)
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
                self._quick = QuickSteps(self, len(iterator)) if may_be_quick(self, iterator) else None
                super().run_single_epoch(iterator, training, prefix, step_fn)
            finally:  # also if interrupted
                if self._quick is not None:
                    self._quick.finish()
                    self._quick = None
                if self._is_lazy:
                    self.optimizer_.flush()
            return
        whole = _whole(self._terms_of_batches(iterator, step_fn))
        self.history.record_batch(f"{prefix}_loss", sum(map(float, self._losses(whole))))
        self.history.record_batch(f"{prefix}_batch_size", len(iterator.dataset))

    def _terms_of_batches(self, iterator: Any, step_fn: Any) -> Iterator[list[tuple[Any, ...]]]:
        """Walk over the terms of validation batches."""
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=False)
            Xi = batch[0].to(self.device)
            step = step_fn((Xi, Xi.y))
            yield self._terms(step["y_pred"], Xi)
            self.notify("on_batch_end", batch=batch, training=False, **step)

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Predict the ratings of one block of validation samples."""
        with torch.inference_mode():
            return {"y_pred": self.infer(batch[0])}

    def infer(self, x: Batch, **fit_params: Any) -> Tensor:
        """Predict the ratings of a batch; with it skorch's `forward` predicts those of a RatingsDataset."""
        return self.module_(x.to(self.device))

    def gain(self, dataset: RatingsDataset) -> float:
        """Return by which share the loss of the individual ratings is lower than that of the best constant."""
        self._set_training(False)
        batches = (batch.to(self.device) for batch, _ in self.get_iterator(dataset, training=False))
        terms = (self._terms(self.validation_step((Xi, Xi.y))["y_pred"], Xi) for Xi in batches)
        y_pred, y_true, weight = _whole(terms)[0]
        share = torch.ones_like(y_true) if weight is None else weight
        constant = (share * y_true).sum(0) / share.sum(0).clamp_min(torch.finfo(share.dtype).tiny)
        if isinstance(self.criterion_, CrossEntropy):
            constant = constant.log()  # logits that give these shares
        loss = float(self._criterion(y_pred, y_true, weight))
        of_constant = float(self._criterion(constant.expand_as(y_true), y_true, weight))
        return 1 - loss / of_constant if of_constant else 0.0


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


def _whole(batches: Iterable[list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    """Return the terms of all batches as those of a single one."""
    whole: list[list[_Joined]] = []
    for terms in batches:
        whole = whole or [[_Joined() for _ in term] for term in terms]
        for joined, term in zip(whole, terms, strict=True):
            for each, part in zip(joined, term, strict=True):
                each.add(part)
    return [tuple(each.value for each in joined) for joined in whole]


class _Joined:
    """Tensors one after the other, or None if they are.

    They are copied: small ones that stay between the large ones of the passes would leave holes in memory.
    """

    def __init__(self) -> None:
        self.memory: Tensor | None = None
        self.n_rows = 0

    def add(self, part: Tensor | None) -> None:
        """Append one."""
        if part is None:
            return
        end = self.n_rows + len(part)
        if self.memory is None or end > len(self.memory):
            larger = part.new_empty((2 * end, *part.shape[1:]))
            if self.memory is not None:
                larger[: self.n_rows] = self.memory[: self.n_rows]
            self.memory = larger
        self.memory[self.n_rows : end] = part
        self.n_rows = end

    @property
    def value(self) -> Tensor | None:
        """What is there so far."""
        return None if self.memory is None else self.memory[: self.n_rows]


def _as_ratings_dataset(part: Any) -> Any:
    """Return one side of a split as `RatingsDataset`: skorch's own splits answer with torch's subsets."""
    if not isinstance(part, Subset):
        return part
    whole: Any = part.dataset
    return whole.take(whole.rows[part.indices])
