"""`MultiHeadNet`: the network, its data and its training recipe as a skorch net."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import check_array
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import Tensor
from tqdm.auto import tqdm

from sklearn_annoser.network._data import BatchLoader, RatingsDataset, ValidationSplit, as_tensor
from sklearn_annoser.network._loss import CCCLoss
from sklearn_annoser.network._module import MultiHeadModule
from sklearn_annoser.network._optim import LazySGD
from sklearn_annoser.ratings import Ratings

BLOCK_ROWS = 4096


class EpochBar(Callback):
    """Show a bar of the epochs, with the losses; early stopping may end it sooner."""

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Draw the bar."""
        self.bar_ = tqdm(total=net.max_epochs, desc="epochs", unit="epoch")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Move it on."""
        losses = {key: net.history[-1][key] for key in ("train_loss", "valid_loss") if key in net.history[-1]}
        self.bar_.set_postfix({key: f"{loss:.4f}" for key, loss in losses.items()}, refresh=False)
        self.bar_.update()

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Close it."""
        self.bar_.close()
        del self.bar_  # it does not pickle


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Let torch draw from `seed`; give back its own state at the end."""
    devices = [torch.cuda.current_device()] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


class MultiHeadNet(NeuralNet):
    """Train a head for each annotator on a shared trunk; a skorch net whose y are Ratings.

    Any skorch parameter, callback or device can be set. The recipe is that of the paper: pre-training on the consensus
    whose head is copied to every annotator, the CCC of all ratings of a batch as loss, SGD with momentum, a learning
    rate that falls on plateaus, early stopping on grouped validation samples.

    Parameters
    ----------
    module : torch module, default=MultiHeadModule
        The network. The sizes that the data decide are filled in by `fit`.
    criterion : torch module, default=CCCLoss
        Loss of predictions and ratings, each (n_ratings, n_outputs). With a consensus head its loss is added.
    optimizer : torch optimizer, default=LazySGD
        One that has ``catch_up`` and ``flush`` is told when rows are read.
    lr : float, default=1e-3
        Learning rate at the start.
    max_epochs : int, default=500
        Most epochs.
    batch_size : int, default=32
        Samples in a batch; their ratings are several times as many.
    pretrain_epochs : int, default=5
        Epochs on the consensus before the main training, which starts with a fresh optimizer.
    consensus_head : bool, default=False
        Whether one more head learns the consensus beside the annotators.
    train_split : callable, default=ValidationSplit()
        Sets validation samples aside; None trains on everything, without early stopping.
    patience : int, default=10
        Epochs without a better validation loss after which training stops; the best weights are kept.
    lr_patience : int, default=5
        Epochs without a better validation loss after which the learning rate falls to a tenth.
    verbose : int, default=0
        Whether skorch prints a line for each epoch.
    **kwargs : dict
        Any other parameter of :class:`skorch.NeuralNet`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.network import MultiHeadNet
    >>> X = np.random.RandomState(0).normal(size=(60, 4))
    >>> net = MultiHeadNet(max_epochs=2, lr=0.01, module__n_hidden=8)
    >>> net.fit(X, Ratings.from_dense(X[:, :2])).predict_annotators(X).shape
    (60, 2, 1)
    """

    train_split: Any

    def __init__(
        self,
        module: Any = MultiHeadModule,
        *,
        criterion: Any = CCCLoss,
        optimizer: Any = LazySGD,
        lr: float = 1e-3,
        max_epochs: int = 500,
        batch_size: int = 32,
        pretrain_epochs: int = 5,
        consensus_head: bool = False,
        train_split: Any = ValidationSplit(),  # noqa: B008 - it is never changed
        patience: int = 10,
        lr_patience: int = 5,
        verbose: int = 0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("iterator_train", BatchLoader)
        kwargs.setdefault("iterator_valid", BatchLoader)
        kwargs.setdefault("iterator_train__shuffle", True)
        kwargs.setdefault("iterator_valid__batch_size", 256)
        kwargs.setdefault("dataset", RatingsDataset)
        self.pretrain_epochs = pretrain_epochs
        self.consensus_head = consensus_head
        self.patience = patience
        self.lr_patience = lr_patience
        super().__init__(
            module,
            criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            train_split=train_split,
            verbose=verbose,
            **kwargs,
        )

    # ------------------------------------------------------------------ training

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        callbacks = list(super()._default_callbacks)
        if self.train_split:
            plateau = LRScheduler("ReduceLROnPlateau", monitor="valid_loss", factor=0.1, patience=self.lr_patience)
            stop = EarlyStopping(monitor="valid_loss", patience=self.patience, load_best=True)
            callbacks += [("plateau", plateau), ("early_stopping", stop)]
        return callbacks

    def initialize_callbacks(self) -> MultiHeadNet:
        """Make the callbacks; early stopping, which leaves the epoch by an exception, comes after all others."""
        super().initialize_callbacks()
        self.callbacks_.sort(key=lambda item: item[0] == "early_stopping")
        return self

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start an epoch's record, and forget the single batches of the last: they would swell memory and pickles."""
        self._drop_batch_records()
        super().on_epoch_begin(net, **kwargs)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Forget the single batches of the last epoch."""
        super().on_train_end(net, **kwargs)
        self._drop_batch_records()

    def _drop_batch_records(self) -> None:
        if len(self.history):
            self.history[-1]["batches"] = []

    def fit(self, X: Any, y: Ratings | None = None, groups: Any = None) -> MultiHeadNet:
        """Pre-train on the consensus, then train every annotator's head.

        Parameters
        ----------
        X : array or Tensor, shape (n_samples, n_features)
            Features. A tensor is taken as it is, an array is checked.
        y : Ratings
            Ratings, on a scale of about -1 to 1.
        groups : array-like, shape (n_samples,), default=None
            Group (speaker) of each sample; no group is in both training and validation.

        Returns
        -------
        self
        """
        dataset = self.get_dataset(X, y)
        self.shape_ = {
            "n_features": dataset.X.shape[1],
            "n_annotators": dataset.ratings.n_annotators + self.consensus_head,
            "n_outputs": dataset.ratings.n_outputs,
        }
        self.initialize()
        if self.pretrain_epochs:
            self._pretrain(dataset, groups)
        return self.partial_fit(dataset, groups=groups)

    def _pretrain(self, dataset: RatingsDataset, groups: Any) -> None:
        """Train trunk, towers and one head on the consensus, and start every annotator from there."""
        train, _ = self.get_split_datasets(dataset, groups=groups)
        net = clone(self).set_params(
            pretrain_epochs=0,
            consensus_head=False,
            max_epochs=self.pretrain_epochs,
            train_split=None,
            callbacks=None,
            verbose=0,
        )
        net.fit(train.as_consensus())
        if len(net.history) < self.pretrain_epochs:
            raise KeyboardInterrupt("interrupted before the annotators' heads were trained")
        self.module_.start_from(net.module_)

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> MultiHeadNet:
        """Train on, for `max_epochs`; see :meth:`fit`. An interrupted training keeps the best weights so far."""
        super().partial_fit(X, y, classes, **fit_params)
        stop = dict(self.callbacks_).get("early_stopping")
        n_done = sum("train_loss" in epoch for epoch in self.history[-self.max_epochs :])
        if n_done < self.max_epochs and not (stop is not None and stop.misses_ >= stop.patience):
            if not n_done:
                raise KeyboardInterrupt("interrupted before the end of the first epoch")
            warnings.warn(
                f"training was interrupted after {n_done} of at most {self.max_epochs} epochs; the best weights so far "
                "are kept.",
                stacklevel=2,
            )
        return self

    def get_dataset(self, X: Any, y: Any = None) -> RatingsDataset:
        """Return features and Ratings as a dataset, checked unless `X` is a tensor or a dataset already."""
        if isinstance(X, RatingsDataset):
            return X
        if not isinstance(X, Tensor):
            X = check_array(X, dtype=np.float32)
        return RatingsDataset(X, y, consensus_head=self.consensus_head)

    def initialize_module(self) -> MultiHeadNet:
        """Make the module, with the sizes that the data decide."""
        self.module_ = self.initialized_instance(
            self.module, getattr(self, "shape_", {}) | self.get_params_for("module")
        )
        return self

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Catch the batch's heads up, then compute loss and gradients."""
        Xi = batch[0].to(self.device)
        if isinstance(self.optimizer_, LazySGD):
            self.optimizer_.catch_up(self.module_.heads, Xi.heads)
        y_pred = self.module_(Xi)
        loss = self.get_loss(y_pred, Xi.y, X=Xi, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}

    def get_loss(self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False) -> Tensor:
        """Return the loss of a batch: of the individual ratings, plus of the consensus where a head learns it."""
        losses = [self.criterion_(pred, true) for pred, true in zip(X.parts(y_pred), X.parts(y_true), strict=True)]
        return losses[0] if len(losses) == 1 else losses[0] + losses[1]

    def run_single_epoch(self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any) -> None:
        """Run one pass; the validation loss is that of all validation ratings at once."""
        if iterator is None:
            return
        self._set_training(training)
        if training:
            super().run_single_epoch(iterator, training, prefix, step_fn)
            if isinstance(self.optimizer_, LazySGD):
                self.optimizer_.flush()
            return
        predictions, truths = [], []
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=False)
            step = step_fn(batch)
            predictions.append(batch[0].parts(step["y_pred"]))
            truths.append(batch[0].parts(batch[1]))
            self.notify("on_batch_end", batch=batch, training=False, **step)
        pairs = ((torch.cat(parts) for parts in zip(*side, strict=True)) for side in (predictions, truths))
        loss = sum(float(self.criterion_(pred, true.to(pred.device))) for pred, true in zip(*pairs, strict=True))
        self.history.record_batch(f"{prefix}_loss", loss)
        self.history.record_batch(f"{prefix}_batch_size", len(iterator.dataset))

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Predict the ratings of one block of validation samples."""
        with torch.inference_mode():
            return {"y_pred": self.module_(batch[0].to(self.device))}

    def train_epoch(self, X: Any, y: Ratings, *, n_new: int = 0) -> MultiHeadNet:
        """Train one epoch more on everything, after adding heads for new annotators.

        Parameters
        ----------
        X : array or Tensor, shape (n_samples, n_features)
            Features.
        y : Ratings
            Ratings; their annotators are those of the heads, the new ones last.
        n_new : int, default=0
            Number of annotators without a head.

        Returns
        -------
        self
        """
        if self.train_split:  # the last training was one with early stopping
            self.train_split, self.max_epochs = None, 1
            self.initialize_callbacks()
        if n_new:
            self.module_.add_heads(n_new, keep_last=self.consensus_head)
            self.initialize_optimizer()
        return self.partial_fit(self.get_dataset(X, y))

    # ------------------------------------------------------------------ prediction

    def hidden_blocks(self, X: Any, *, block_rows: int = BLOCK_ROWS) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over what the heads see of each sample, in blocks of samples.

        Parameters
        ----------
        X : array or Tensor, shape (n_samples, n_features)
            Features.
        block_rows : int, default=4096
            Samples in a block.

        Yields
        ------
        rows : slice
            The samples of the block.
        hidden : array, shape (n_block, n_outputs, n_hidden)
            Output of the towers.
        """
        tensor = as_tensor(X)
        self.module_.eval()
        for start in range(0, len(tensor), block_rows):
            rows = slice(start, min(start + block_rows, len(tensor)))
            with torch.inference_mode():
                hidden = self.module_.hidden(tensor[rows].to(self.device))
            yield rows, hidden.transpose(0, 1).cpu().numpy()

    def predict_annotators(self, X: Any) -> np.ndarray:
        """Predict how every annotator would rate.

        Parameters
        ----------
        X : array or Tensor, shape (n_samples, n_features)
            Features.

        Returns
        -------
        array, shape (n_samples, n_annotators, n_outputs)
        """
        heads = self.module_.stacked_heads().cpu().numpy()
        blocks = [
            np.einsum("noh,aoh->nao", hidden, heads[:, :, :-1], optimize=True) + heads[None, :, :, -1]
            for _, hidden in self.hidden_blocks(X)
        ]
        return np.concatenate(blocks)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the mean of all annotators, shape (n_samples, n_outputs)."""
        mean = self.module_.stacked_heads().mean(0).cpu().numpy()
        return np.concatenate([(hidden * mean[:, :-1]).sum(-1) + mean[:, -1] for _, hidden in self.hidden_blocks(X)])
