"""Training parameters: what the estimators that train heads have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from sklearn.base import BaseEstimator

from sklearn_annoser._validation import check_number, check_option
from sklearn_annoser.estimators._known import ON_UNKNOWN

ONE_NETWORK = (1, 0, False)
Method = TypeVar("Method", bound=Callable[..., Any])


class TrainingInterrupted(KeyboardInterrupt):
    """A fit was interrupted after some epochs: the estimator is fitted, by the best weights so far."""


def or_as_before(method: Method) -> Method:
    """Let a method that fails or is interrupted leave the estimator as it was."""

    @functools.wraps(method)
    def undone(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(estimator))
        try:
            return method(estimator, *args, **kwargs)
        except TrainingInterrupted:
            raise
        except BaseException:
            vars(estimator).clear()
            vars(estimator).update(before)
            raise

    return cast(Method, undone)


def all_finite(weights: Any) -> bool:
    """Say whether all weights are finite; their sum, which needs no memory, tells unless it is too large itself."""
    return bool(weights.sum().isfinite()) or bool(weights.isfinite().all())


class HeadTrainer(BaseEstimator):
    """An estimator whose parameters describe a net with a head for each annotator, and its training."""

    VARIANTS: ClassVar[tuple[str, ...]]
    net_: Any

    def __init__(
        self,
        *,
        variant: str = "individual",
        n_hidden: int = 256,
        n_tower_layers: int = 2,
        dropout: float = 0.2,
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        batch_size: int = 32,
        max_epochs: int = 500,
        pretrain_epochs: int = 5,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        patience: int = 10,
        lr_patience: int = 5,
        min_ratings: int = 1,
        warm_start: bool = False,
        on_unknown: str = "warn",
        device: str = "cpu",
        n_threads: int | None = 1,
        random_state: Any = None,
        verbose: int = 0,
        callbacks: list[Any] | None = None,
        n_members: int = 1,
        n_consensus_members: int = 0,
        ridge: bool = False,
        clip: bool = False,
    ) -> None:
        self.variant = variant
        self.n_hidden = n_hidden
        self.n_tower_layers = n_tower_layers
        self.dropout = dropout
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.pretrain_epochs = pretrain_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.lr_patience = lr_patience
        self.min_ratings = min_ratings
        self.warm_start = warm_start
        self.on_unknown = on_unknown
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks
        self.n_members = n_members
        self.n_consensus_members = n_consensus_members
        self.ridge = ridge
        self.clip = clip

    def _check_parameters(self) -> None:
        """Check the constructor's parameters, each by name."""
        check_option("variant", self.variant, self.VARIANTS)
        check_option("on_unknown", self.on_unknown, ON_UNKNOWN)
        check_option("early_stopping", self.early_stopping, (True, False))
        check_option("warm_start", self.warm_start, (True, False))
        check_option("ridge", self.ridge, (True, False))
        check_option("clip", self.clip, (True, False))
        for name in ("n_hidden", "batch_size", "max_epochs", "patience", "min_ratings", "n_members"):
            check_number(name, getattr(self, name), low=1, integer=True)
        for name in ("n_tower_layers", "pretrain_epochs", "lr_patience", "verbose", "n_consensus_members"):
            check_number(name, getattr(self, name), low=0, integer=True)
        if self.n_threads is not None:
            check_number("n_threads", self.n_threads, low=1, integer=True)
        check_number("dropout", self.dropout, low=0, high=0.999)
        check_number("momentum", self.momentum, low=0, high=0.9999)
        check_number("lr", self.lr, low=0, open_low=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("validation_fraction", self.validation_fraction, low=0, high=0.999, open_low=True)
        if not isinstance(self.callbacks, (list, tuple, type(None))):
            raise TypeError(f"callbacks must be a list of skorch callbacks or None, got {self.callbacks!r}.")

    def _validation_split(self, seed: int, validation: Any = None) -> Any:
        """Return what sets the validation samples aside, or None."""
        from sklearn_annoser.network import ValidationSplit

        if self.early_stopping:
            return ValidationSplit(self.validation_fraction, random_state=seed, chosen=validation)
        if validation is not None:
            raise ValueError("validation samples are for early stopping: early_stopping must be True.")
        return None

    def _validation_splits(self, seed: int, validation: Any = None) -> list[Any]:
        """Return what sets the validation samples of each network with heads aside; nothing is set aside: none."""
        from sklearn_annoser.network._member_splits import member_seeds, member_splits

        split = self._validation_split(seed, validation)
        return [] if split is None else member_splits(split, member_seeds(seed, self.n_members))

    def _make_net(self, **changes: Any) -> Any:
        """Return the net that the parameters describe."""
        import torch

        from sklearn_annoser.network import CommitteeNet, EpochBar, MultiHeadNet

        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        _check_device(device)
        callbacks = list(self.callbacks or [])
        if self.verbose == 1:
            callbacks.append(("epoch_bar", EpochBar()))
        settings: dict[str, Any] = {
            "lr": self.lr,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "pretrain_epochs": self.pretrain_epochs,
            "patience": self.patience,
            "lr_patience": self.lr_patience,
            "n_threads": self.n_threads,
            "consensus_head": "+consensus" in self.variant,
            "variance_heads": "+variance" in self.variant,
            "max_grad_norm": 1.0 if "+variance" in self.variant else None,  # as the authors do
            "optimizer__momentum": self.momentum,
            "optimizer__weight_decay": self.weight_decay,
            "module__n_hidden": self.n_hidden,
            "module__n_tower_layers": self.n_tower_layers,
            "module__dropout": self.dropout,
            "callbacks": callbacks,
            "device": device,
            "verbose": max(self.verbose - 1, 0),
        }
        net = MultiHeadNet(**(settings | changes))
        if self._makeup == ONE_NETWORK:
            return net
        n_members, n_consensus_members, ridge = self._makeup
        return CommitteeNet(net, n_members=n_members, n_consensus_members=n_consensus_members, ridge=ridge)

    @property
    def _makeup(self) -> tuple[int, int, bool]:
        """How many networks there are, with heads and of the consensus, and whether there is a ridge."""
        return self.n_members, self.n_consensus_members, self.ridge

    @property
    def _fitted_makeup(self) -> tuple[int, int, bool]:
        """What the fitted net consists of, as `_makeup` is what the next one is to consist of."""
        return getattr(self.net_, "makeup", ONE_NETWORK)

    def _check_makeup(self, trains_on: bool) -> None:
        """Raise if a net is to be trained on, but another one is asked for."""
        if trains_on and self._fitted_makeup != self._makeup:
            raise ValueError(
                "cannot train on: n_members, n_consensus_members and ridge are {}, {} and {}, but were {}, {} and {}. "
                "Keep them, or fit anew with warm_start=False.".format(*self._makeup, *self._fitted_makeup)
            )

    def _let_go(self) -> None:
        """Give the net's weights memory of their own: training on must not move the heads that have been handed out."""
        for weights in self.net_.module_.parameters():
            if not weights.is_inference():  # those are copied before they are trained
                weights.data = weights.detach().clone()

    def _check_fine_tunable(self) -> None:
        """Raise if the fitted net is a committee."""
        if self._fitted_makeup != ONE_NETWORK:
            raise ValueError(
                "a committee cannot be fine-tuned. Map without fine_tune, or train one network: n_members=1, "
                "n_consensus_members=0, ridge=False."
            )


def _check_device(device: Any) -> None:
    """Raise unless torch knows the device, and has it if it is CUDA."""
    import torch

    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'device must be "auto" or a torch device, such as "cpu" or "cuda:0", got {device!r}.'
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f'device={device!r} needs CUDA, which torch does not find. device="auto" goes without.')
