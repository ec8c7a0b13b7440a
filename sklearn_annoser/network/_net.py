"""`MultiHeadNet`: the network and its training recipe as a skorch net."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from sklearn_annoser.network._callbacks import check_kind, monitors_validation
from sklearn_annoser.network._data import BatchLoader, RatingsDataset, ValidationSplit
from sklearn_annoser.network._loss import VARIANCE_FLOOR, CCCLoss
from sklearn_annoser.network._module import MultiHeadModule
from sklearn_annoser.network._optim import LazySGD
from sklearn_annoser.network._passes import hidden_blocks
from sklearn_annoser.network._plain_state import (
    go_on_moving,
    history_of,
    history_state,
    module_state,
    optimizer_state,
    present_device,
    take_weights,
)
from sklearn_annoser.network._ratings_net import RatingsNet
from sklearn_annoser.network._torch_state import plain_torch, seeded
from sklearn_annoser.ratings import Ratings

BLOCK_ROWS = 4096
EXTRA_HEADS = ("consensus_head", "variance_heads")


Method = TypeVar("Method", bound=Callable[..., Any])


def plainly(method: Method) -> Method:
    """Let a method of a net compute as a training does, whatever torch's switches are."""

    @functools.wraps(method)
    def plain(net: Any, *args: Any, **kwargs: Any) -> Any:
        with plain_torch(net.n_threads):
            return method(net, *args, **kwargs)

    return cast(Method, plain)


class MultiHeadNet(RatingsNet):
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
        One that has ``catch_up`` and ``flush`` is told when rows are read, and gets sparse gradients of the heads. Any
        other, such as :class:`torch.optim.Adam`, gets dense ones: the more annotators, the dearer its step.
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
    variance_heads : bool, default=False
        Whether the variance of every annotator's ratings is learned too, with :func:`mixture_divergence` as a second
        loss. It starts as the variance of all ratings: what somebody would say who knows nothing of a sample. A
        consensus head has a variance that is not trained.
    max_grad_norm : float or None, default=None
        Largest norm of the gradients of a batch, all parameters together; larger ones are scaled down to it.
    train_split : callable, default=ValidationSplit()
        Sets validation samples aside; None trains on everything, without early stopping.
    patience : int, default=10
        Epochs without a better validation loss after which training stops; the best weights are kept.
    lr_patience : int, default=5
        Epochs without a better validation loss after which the learning rate falls to a tenth.
    n_threads : int or None, default=1
        Torch threads while training on a CPU. The matrices of a batch are small: more threads gain little on idle cores
        and lose much on busy ones. None leaves torch's own setting.
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
        variance_heads: bool = False,
        max_grad_norm: float | None = None,
        train_split: Any = ValidationSplit(),  # noqa: B008 - it is never changed
        patience: int = 10,
        lr_patience: int = 5,
        n_threads: int | None = 1,
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
        self.variance_heads = variance_heads
        self.max_grad_norm = max_grad_norm
        self.patience = patience
        self.lr_patience = lr_patience
        self.n_threads = n_threads
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
        check_kind(self.callbacks)
        super().initialize_callbacks()
        self.callbacks_.sort(key=lambda item: isinstance(item[1], EarlyStopping))
        return self

    def initialize_module(self) -> MultiHeadNet:
        """Make the module, with the sizes that the data decide."""
        sizes = self.get_params_for("module") | getattr(self, "shape_", {})
        if self.variance_heads:
            sizes["variance_heads"] = True
        with torch.device("cpu"):  # whatever the user's default is; skorch takes it to the net's device
            self.module_ = self.initialized_instance(self.module, sizes)
        return self

    def set_params(self, **kwargs: Any) -> MultiHeadNet:
        """Set parameters; after another kind of heads the net must be fitted anew."""
        before = [getattr(self, name) for name in EXTRA_HEADS]
        super().set_params(**kwargs)
        if before != [getattr(self, name) for name in EXTRA_HEADS]:
            self.initialized_ = False
        return self

    @contextmanager
    def _started(self, dataset: RatingsDataset) -> Iterator[None]:
        """Start anew; without a single epoch at the end of it the net is not fitted."""
        self._start(dataset)
        try:
            yield
        except BaseException:
            self.initialized_ = bool(len(self.history))
            raise

    def _start(self, dataset: RatingsDataset) -> None:
        """Initialize the net for the sizes of some data, and its variances for their ratings."""
        self.shape_ = self._shape_of(dataset)
        self.initialize()
        if self.variance_heads:
            self.module_.start_variances(dataset.rating_variance().clamp_min(VARIANCE_FLOOR).to(self.device))

    @plainly
    def fit(self, X: Any, y: Ratings | None = None, groups: Any = None, sample_weight: Any = None) -> MultiHeadNet:
        """Pre-train on the consensus, then train every annotator's head.

        Parameters
        ----------
        X : array or Tensor, shape (n_samples, n_features)
            Features, all finite; or a :class:`RatingsDataset`, without `y`.
        y : Ratings
            Ratings, on a scale of about -1 to 1.
        groups : array-like, shape (n_samples,), default=None
            Group (speaker) of each sample; no group is in both training and validation.
        sample_weight : array-like, shape (n_samples,), default=None
            Weight of each sample's ratings in all losses, those of validation too.

        Returns
        -------
        self

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, so that whoever called this stops too. After a whole epoch the net can be used: it has the
            best weights so far.
        """
        dataset = self.get_dataset(X, y, sample_weight)
        split = self.get_split_datasets(dataset, groups=groups)
        if self.warm_start and self.initialized_:
            self._train(dataset, split)
        else:
            with self._started(split[0]):
                if self.pretrain_epochs:
                    self._pretrain(split[0])
                self._train(dataset, split)
        return self._warn_if_little_is_learned(split[1])

    @plainly
    def fit_from(
        self, other: MultiHeadNet, X: Any, y: Ratings, groups: Any = None, sample_weight: Any = None
    ) -> MultiHeadNet:
        """Train on from the weights of another net, without pre-training and with a fresh optimizer.

        Parameters
        ----------
        other : MultiHeadNet
            A trained net of the same sizes; its annotators come first in `y`, the others get the mean of its heads.
        X, y : array and Ratings
            As in :meth:`fit`.
        groups, sample_weight : array-like, shape (n_samples,), default=None
            As in :meth:`fit`.

        Returns
        -------
        self
        """
        mine, theirs = ({name: getattr(net, name) for name in EXTRA_HEADS} for net in (self, other))
        if mine != theirs:
            raise ValueError(f"cannot train on from a net with {theirs}: this has {mine}. Keep them, or start anew.")
        dataset = self.get_dataset(X, y, sample_weight)
        split = self.get_split_datasets(dataset, groups=groups)
        with self._started(dataset):
            module = copy.deepcopy(other.module_)
            n_new = self.module_.n_annotators - module.n_annotators
            if n_new:
                module.add_heads(n_new, keep_last=self.consensus_head)
            self.module_.load_state_dict(module.state_dict())
            self._train(dataset, split)
        return self._warn_if_little_is_learned(split[1])

    @plainly
    def replace_heads(self, heads: np.ndarray) -> MultiHeadNet:
        """Take other annotators' heads instead of its own; a consensus head stays, variances are the mean of all.

        Parameters
        ----------
        heads : array of float32, shape (n_annotators, n_outputs, n_hidden + 1)
            The heads, the bias last.

        Returns
        -------
        self
        """
        self._heads()  # as they are at the present step
        known, kept = self.module_.heads.detach().tensor_split([self.module_.n_annotators - self.consensus_head])
        flat = torch.as_tensor(heads, device=kept.device).flatten(1)
        variances = known[:, flat.shape[1] :].mean(0).expand(len(flat), -1)  # no columns without variance heads
        self.module_.heads = torch.nn.Parameter(torch.cat([torch.cat([flat, variances], dim=1), kept]))
        self.module_.n_annotators = len(self.module_.heads)
        self.shape_ = getattr(self, "shape_", {}) | {"n_annotators": self.module_.n_annotators}
        self.initialize_optimizer()
        return self

    @plainly
    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, groups: Any = None, epochs: int | None = None
    ) -> MultiHeadNet:
        """Train on, without pre-training; Ctrl-C does what it does in :meth:`fit`.

        Parameters
        ----------
        X, y, groups
            As in :meth:`fit`; of the same annotators as there.
        classes : None
            Not used.
        epochs : int, default=None
            Most epochs. None: `max_epochs`.

        Returns
        -------
        self
        """
        dataset = self.get_dataset(X, y)
        split = self.get_split_datasets(dataset, groups=groups)
        if self.initialized_:
            self._train(dataset, split, epochs)
        else:
            with self._started(split[0]):
                self._train(dataset, split, epochs)
        return self

    def _pretrain(self, train: RatingsDataset) -> None:
        """Train trunk, towers and one head on the consensus, and start every annotator from there."""
        changes = {"train_split": None, "callbacks": None, "verbose": 0} | dict.fromkeys(EXTRA_HEADS, False)
        net = type(self)(**(self.get_params(deep=False) | changes | {"max_epochs": self.pretrain_epochs}))
        dataset = train.as_consensus()
        net._start(dataset)
        try:
            net._train(dataset, (dataset, None))
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("interrupted before the annotators' heads were trained") from error
        self.module_.start_from(net.module_)

    @plainly
    def train_epoch(self, X: Any, y: Ratings, *, n_new: int = 0) -> MultiHeadNet:
        """Train one epoch more on everything, after adding heads for new annotators.

        There is no validation: callbacks that monitor its loss rest.

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
        kept = self.train_split
        self.train_split = None
        self._initialize_callbacks()
        self.callbacks_ = [each for each in self.callbacks_ if not monitors_validation(each[1])]
        if n_new:
            self.module_.add_heads(n_new, keep_last=self.consensus_head)
            self.shape_ = getattr(self, "shape_", {}) | {"n_annotators": self.module_.n_annotators}
            self.initialize_optimizer()
        try:
            return self.partial_fit(X, y, epochs=1)
        finally:
            self.train_split = kept
            self._initialize_callbacks()

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
        self.check_is_fitted()
        n_features = getattr(self, "shape_", {}).get("n_features")
        yield from hidden_blocks(self.module_, X, n_features=n_features, device=self.device, block_rows=block_rows)

    def predict_annotators(self, X: Any) -> np.ndarray:
        """Predict how every annotator would rate, and the consensus last if a head learned it.

        Parameters
        ----------
        X : array or Tensor, shape (n_samples, n_features)
            Features.

        Returns
        -------
        array, shape (n_samples, n_annotators, n_outputs)
        """
        heads = self._heads()
        blocks = [
            np.einsum("noh,aoh->nao", hidden, heads[:, :, :-1], optimize=True) + heads[None, :, :, -1]
            for _, hidden in self.hidden_blocks(X)
        ]
        return np.concatenate(blocks)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the mean of all annotators, shape (n_samples, n_outputs)."""
        heads = self._heads()
        mean = heads[: len(heads) - self.consensus_head].mean(axis=0)
        return np.concatenate([(hidden * mean[:, :-1]).sum(-1) + mean[:, -1] for _, hidden in self.hidden_blocks(X)])

    def _heads(self) -> np.ndarray:
        """Return all heads as they are at the present step, (n_annotators, n_outputs, n_hidden + 1)."""
        self.check_is_fitted()
        if self._is_lazy:
            self.optimizer_.flush()
        return self.module_.stacked_heads().cpu().numpy()

    # ------------------------------------------------------------------ state

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters that are not the default, and arrays of all that has been learned."""
        default = vars(MultiHeadNet())
        names = [name for name in vars(self) if not name.startswith("_") and not name.endswith("_")]
        params = {name: getattr(self, name) for name in names}
        params = {name: value for name, value in params.items() if not _is_same(value, default.get(name, default))}
        if not hasattr(self, "module_"):
            return {"params": params}
        return {
            "params": params,
            "shape": dict(getattr(self, "shape_", {})),
            "module": module_state(self.module_),
            "optimizer": optimizer_state(self.optimizer_),
            "history": history_state(self.history),
            "is_fitted": self.initialized_,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "params" not in state:  # of 0.1.0
            super().__setstate__(state)
            return
        self.__init__(**state["params"])  # type: ignore[misc]
        if "module" not in state:
            return
        self.device, self.shape_ = present_device(self.device), state["shape"]
        with plain_torch(), seeded(0):  # weights are drawn first
            self.initialize()
            take_weights(self.module_, state["module"], self.device)
            self.initialize_optimizer()
            go_on_moving(self.optimizer_, state["optimizer"], self.device)
        self.history, self.initialized_ = history_of(state["history"]), state["is_fitted"]


def _is_same(value: Any, default: Any) -> bool:
    """Say whether a parameter is the default."""
    return value is default or (
        isinstance(value, (bool, int, float, str)) and (type(value), value) == (type(default), default)
    )
