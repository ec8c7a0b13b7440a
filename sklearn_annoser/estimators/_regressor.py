"""`AnnotatorMappedRegressor`: learn every annotator of a corpus, serve a new one from a few ratings."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_annoser._validation import (
    check_finite_values,
    check_known,
    check_labels,
    check_number,
    check_option,
    check_sample_weight,
)
from sklearn_annoser.estimators._predictor import ON_UNKNOWN, AnnotatorPredictor, ratings_of_rows
from sklearn_annoser.mapping import (
    STRATEGIES,
    Mapping,
    Prior,
    bootstrap_heads,
    comparison_axes,
    forecast_scores,
    learn_prior,
    map_annotators,
    representative_rows,
    spread_rows,
)
from sklearn_annoser.mapping._enroller import CHOOSING
from sklearn_annoser.ratings import CONSENSUS, Ratings

__all__ = ["AnnotatorMappedRegressor"]

N_LOOKED_AT = 256  # samples, after training
N_REFERENCE = 2048  # samples that stand for a pool: with all of them the time would grow with the square
FAR = 20.0  # times half the scale: nobody rates there
VARIANTS = (
    "individual",
    "individual+consensus",
    "individual+variance",
    "individual+consensus+variance",
    "aggregate",
)
DISTRIBUTIONS = ("histogram", "kde")
TRAINED = ("tower", "all")
BLOCK_BYTES = 2**24
BLOCK_ROWS = 1024


class AnnotatorMappedRegressor(AnnotatorPredictor):
    """Learn how every annotator of a corpus rates, and predict as a new annotator would from a few of their ratings.

    One network has a trunk shared by all annotators and a linear head for each (:class:`MultiHeadNet`). After `fit`,
    :meth:`select_annotator` scores every head on a handful of ratings by a new person and makes the most similar
    annotator's head theirs, with no training. Without ratings of identified annotators this is a plain regressor.

    Parameters
    ----------
    variant : str, default="individual"
        "individual": a head for each annotator (IA in the paper). "individual+consensus": one more that learns the
        consensus (IA_mu). "individual+variance", "individual+consensus+variance": each annotator also has a head for
        the variance of their ratings (IA_sigma2, IA_mu_sigma2). "aggregate": a single head that learns the consensus
        (AG).
    n_hidden : int, default=256
        Width of the trunk and of the towers.
    n_tower_layers : int, default=2
        Layers of each output's tower.
    dropout : float, default=0.2
        Share of the input features dropped in training.
    lr : float, default=1e-3
        Learning rate of SGD at the start; it falls to a tenth on plateaus.
    momentum : float, default=0.9
        Momentum of SGD.
    weight_decay : float, default=0.0
        Weight decay of SGD.
    batch_size : int, default=32
        Samples in a batch.
    max_epochs : int, default=500
        Most epochs.
    pretrain_epochs : int, default=5
        Epochs on the consensus before; its head is copied to every annotator.
    early_stopping : bool, default=True
        Whether to set validation samples aside, and to stop and keep the best weights by their loss.
    validation_fraction : float, default=0.25
        Share of the samples (of the groups, if `groups` are given to `fit`) set aside, rounded down.
    patience : int, default=10
        Epochs without a better validation loss before training stops.
    lr_patience : int, default=5
        Epochs without a better validation loss before the learning rate falls.
    min_ratings : int, default=1
        Annotators with fewer ratings in the training split get no head.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last one, without pre-training: to fine-tune on other samples.
        Annotators without a head get the mean of all as a start; heads of annotators who are not in `y` stay.
    on_unknown : {"warn", "raise", "consensus"}, default="warn"
        What to do about an annotator who is not known, or whose enrollment ratings are too few or all equal: predict
        the consensus with a warning, raise an error, or predict the consensus silently.
    device : str, default="cpu"
        Torch device; "auto" takes CUDA where there is one.
    n_threads : int or None, default=1
        Torch threads while training on a CPU: the matrices are small, and fits side by side (`n_jobs`) use the cores
        better. None leaves torch's own setting.
    random_state : int, RandomState or None, default=None
        Seed of weights, batches, dropout, validation split and resamples.
    verbose : int, default=0
        1 shows a progress bar, 2 skorch's table.
    callbacks : list of skorch callbacks, default=None
        More callbacks for the net.

    Attributes
    ----------
    annotators_ : array, shape (n_annotators,)
        Labels of the annotators that have a head.
    heads_ : array, shape (n_annotators, n_outputs, n_hidden + 1)
        Their heads, on the scale of the ratings, the bias last.
    variance_heads_ : array, shape (n_annotators, n_outputs, n_hidden + 1), or None
        Heads of the logarithm of the variance of their ratings, on the squared scale of the ratings; None in variants
        without.
    prior_ : Prior
        What the ratings make one expect of samples and annotators that are not among them; "blend" and calibration
        start from it.
    outputs_ : tuple of str
        Names of the outputs.
    net_ : MultiHeadNet
        The trained net; it works on ratings rescaled to [-1, 1].
    history_ : DataFrame
        Losses by epoch.
    n_iter_ : int
        Number of epochs trained.
    selected_annotator_ : label, tuple of labels, or None
        What :meth:`select_annotator` returned last.
    selection_ : DataFrame
        Its whole score table, best first: a column of CCC for each output, `score` (their sum) and `wins` (share of
        bootstrap resamples in which the head was the best).
    confidence_ : float
        How clearly the selected head beats the others: 0.5 is luck, 1 is always.
    expected_score_ : DataFrame, indexed by output
        The CCC to expect of the selection on other samples, `score`, and the bounds `low` and `high` of an 80 %
        interval.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of str, shape (n_features_in_,)
        Names of the features, if `X` had string column names.

    References
    ----------
    J. Tavernor and E. Mower Provost, "More Similar than Dissimilar: Modeling Annotators for Cross-Corpus Speech Emotion
    Recognition", 2025, https://arxiv.org/abs/2509.12295

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor
    >>> from sklearn_annoser.datasets import make_corpora
    >>> source, target = make_corpora(n_samples=300, n_annotators=10, random_state=0)
    >>> model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
    >>> model.fit(source.X, source.ratings).heads_.shape
    (10, 2, 33)
    >>> rows, values = target.ratings.of("target_000")
    >>> label = model.select_annotator(target.X[rows[:20]], values[:20])
    >>> model.predict(target.X).shape
    (300, 2)
    """

    prior_: Prior
    selected_annotator_: Any
    _selected_head: np.ndarray | None

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

    # ------------------------------------------------------------------ training

    def fit(
        self,
        X: Any,
        y: Any,
        annotators: Any = None,
        groups: Any = None,
        validation: Any = None,
        sample_weight: Any = None,
    ) -> AnnotatorMappedRegressor:
        """Learn every annotator.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples. A C-contiguous float32 array is not copied.
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            Ratings; or one rating a sample, by `annotators`; the columns of a DataFrame name the outputs.
        annotators : array-like, shape (n_samples,), default=None
            Who gave each rating, if `y` is an array. None: it is the consensus.
        groups : array-like, shape (n_samples,), default=None
            Group of each sample, such as its speaker: no group is in both training and validation.
        validation : array-like of bool, shape (n_samples,), default=None
            Which samples are for validation, where a corpus has such a split. None: they are drawn.
        sample_weight : array-like, shape (n_samples,), default=None
            Weight of each sample's ratings in the losses, in training and for early stopping.

        Returns
        -------
        self
        """
        self._check_parameters()
        warm = self.warm_start and hasattr(self, "net_")
        X, ratings = self._check_X_y(X, y, annotators, reset=not warm)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, len(X))
        seed = self._rng().randint(2**31 - 1)
        split = self._validation_split(seed, validation)
        given, unseen = ratings, np.arange(len(X)) if split is None else split.rows(len(ratings), groups)[1]
        ratings = self._trainable(ratings, self.min_ratings, split, groups)
        if warm:
            ratings = self._after_known(ratings)
        else:
            self._start_scale(ratings)
        net = self._make_net(train_split=split)
        with _seeded(seed, net.device):
            if warm:
                net.fit_from(self.net_, _tensor(X), self._to_unit(ratings), groups=groups, sample_weight=weight)
            else:
                net.fit(_tensor(X), self._to_unit(ratings), groups=groups, sample_weight=weight)
        self._take(net, ratings.annotators)
        self._warn_if_blown_up(X)
        return self._learn_prior(X, unseen, given)

    def partial_fit(self, X: Any, y: Any, annotators: Any = None) -> AnnotatorMappedRegressor:
        """Train one epoch more, without validation; a new annotator's head starts as the mean of all heads.

        After `fit` the learning rate is where the plateaus have brought it, unless `lr` was set anew.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            Ratings; or one rating a sample, by `annotators`.
        annotators : array-like, shape (n_samples,), default=None
            Who gave each rating, if `y` is an array.

        Returns
        -------
        self
        """
        first = not hasattr(self, "net_")
        self._check_parameters()
        X, given = self._check_X_y(X, y, annotators, reset=first)
        ratings = self._trainable(given, self.min_ratings if first else 1)
        seed = self._rng().randint(2**31 - 1)
        if first:
            self._start_scale(ratings)
            net = self._make_net(train_split=None, max_epochs=1, pretrain_epochs=0)
            with _seeded(seed, net.device):
                net.fit(_tensor(X), self._to_unit(ratings))
            return self._take(net, ratings.annotators)._learn_prior(X, np.arange(len(X)), given)
        n_new = len(set(ratings.annotators) - set(self.annotators_))
        ratings = self._after_known(ratings)
        unit = self._to_unit(ratings)
        if self.net_.lr != self.lr:
            self.net_.set_params(lr=self.lr)
        try:
            with _seeded(seed + self.n_iter_, self.net_.device):
                self.net_.train_epoch(_tensor(X), unit, n_new=n_new)
        finally:  # also if interrupted: the labels must be those of the net's heads
            self._take(self.net_, ratings.annotators)
        self.prior_ = self.prior_.with_samples(self._hidden_blocks(X))
        return self

    def fine_tune(
        self, X: Any, y: Ratings, *, train: str = "all", groups: Any = None, start_without: Any = None
    ) -> AnnotatorMappedRegressor:
        """Train on with a few ratings of known annotators, for as many epochs as cross-validation finds best.

        Meant for ``AnnotatorMapper(fine_tune=...)`` and :meth:`AnnotatorMapper.to_regressor`. Five copies, each trained
        without a fifth of the samples, tell how many epochs are best for ratings that are held out; so many are then
        trained on everything, possibly none. With 5,000 samples or more one fifth of them has to tell. What is
        best is judged by the correlation within annotators: mean and spread are left to the calibration. The learning
        rate is `lr`, and stays.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings
            Ratings by annotators of `annotators_`.
        train : {"tower", "all"}, default="all"
            Heads and towers, with the trunk as it is; or all weights.
        groups : array-like, shape (n_samples,), default=None
            Group (speaker) of each sample, which is held out as a whole.
        start_without : callable, default=None
            If `heads_` were made from these ratings: given positions of samples, returns heads of the same shape that
            were made without their ratings, for the copy that is to be judged on them.

        Returns
        -------
        self
            `tuning_scores_` has the correlation on held-out ratings, within annotators and averaged over outputs,
            before the first epoch and after each.
        """
        from sklearn_annoser.network import held_out_parts, tune

        check_is_fitted(self)
        self._check_parameters()
        check_option("train", train, TRAINED)
        X, given = self._check_X_y(X, y, None, reset=False)
        check_known("annotator", given.keep_annotators().annotators, self.annotators_, "the fitted annotators")
        ratings = self._to_unit(self._after_known(given))
        if groups is not None:
            check_consistent_length(X, groups)
        seed = self._rng().randint(2**31 - 1)
        parts = held_out_parts(ratings, groups=groups, random_state=seed)
        if not parts:
            self.tuning_scores_ = np.empty(0)
            what = "sample" if groups is None else "group"
            warnings.warn(f"nothing is fine-tuned: all ratings are of one {what}, none can be held out.", stacklevel=2)
            return self
        self.net_.set_params(lr=self.lr)
        with _seeded(seed, self.net_.device):
            scores = tune(
                self.net_,
                _tensor(X),
                ratings,
                train=train,
                held_out=parts,
                start_without=None if start_without is None else lambda rows: self._unit_heads(start_without(rows)),
                max_epochs=self.max_epochs,
                patience=self.patience,
            )
        self._take(self.net_, self.annotators_)
        self.tuning_scores_ = scores
        self._warn_if_blown_up(X)
        self.prior_ = self.prior_.with_samples(self._hidden_blocks(X))
        return self

    def _check_parameters(self) -> None:
        """Check the constructor's parameters, each by name."""
        check_option("variant", self.variant, VARIANTS)
        check_option("on_unknown", self.on_unknown, ON_UNKNOWN)
        check_option("early_stopping", self.early_stopping, (True, False))
        check_option("warm_start", self.warm_start, (True, False))
        for name in ("n_hidden", "batch_size", "max_epochs", "patience", "min_ratings"):
            check_number(name, getattr(self, name), low=1, integer=True)
        for name in ("n_tower_layers", "pretrain_epochs", "lr_patience", "verbose"):
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

    def _check_X_y(self, X: Any, y: Any, annotators: Any, *, reset: bool) -> tuple[np.ndarray, Ratings]:
        """Return checked features and, whatever y was given as, Ratings."""
        if isinstance(y, Ratings):
            if annotators is not None:
                raise ValueError("annotators must be None if y is Ratings, which know their annotators.")
            X = validate_data(self, X, dtype=np.float32, order="C", reset=reset)
            check_consistent_length(X, y)
            ratings, ndim = y, y.ndim
        else:
            X, checked = validate_data(
                self, X, y, dtype=np.float32, order="C", multi_output=True, y_numeric=True, reset=reset
            )
            ratings, ndim = ratings_of_rows(y, checked, annotators), checked.ndim
        if not ratings.n_ratings:
            raise ValueError("y has no ratings: there is nothing to learn from.")
        if reset:
            self.target_ndim_ = ndim
        return X, ratings

    def _validation_split(self, seed: int, validation: Any = None) -> Any:
        """Return what sets the validation samples aside, or None."""
        from sklearn_annoser.network import ValidationSplit

        if self.early_stopping:
            return ValidationSplit(self.validation_fraction, random_state=seed, chosen=validation)
        if validation is not None:
            raise ValueError("validation samples are for early stopping: early_stopping must be True.")
        return None

    def _trainable(self, ratings: Ratings, min_ratings: int, split: Any = None, groups: Any = None) -> Ratings:
        """Keep the annotators that have enough ratings in the training split, or their consensus."""
        n_given = ratings.n_annotators
        train = ratings if split is None else ratings[split.rows(len(ratings), groups)[0]]
        ratings = ratings.keep_annotators(train.keep_annotators(min_ratings=min_ratings).annotators)
        if not ratings.n_ratings:
            raise ValueError(
                f"none of {n_given} annotators has min_ratings={min_ratings} ratings in the training split: there is "
                "nothing to learn from. Lower min_ratings."
            )
        # A copy that has been given heads of annotators trains those, whatever its source was.
        knows_annotators = hasattr(self, "net_") and self.annotators_.tolist() != [CONSENSUS]
        return ratings.as_consensus() if self.variant == "aggregate" and not knows_annotators else ratings

    def _after_known(self, ratings: Ratings) -> Ratings:
        """Return ratings whose annotators are the known ones, then the new ones."""
        self.check_outputs(ratings)
        known = pd.Index(self.annotators_)
        new = pd.Index(ratings.annotators).difference(known)
        return _recoded(ratings, known.append(new) if len(new) else known)

    def _start_scale(self, ratings: Ratings) -> None:
        """Remember how ratings become -1 to 1: from their declared scale, or from the range seen."""
        self.outputs_ = ratings.outputs
        self.scale_ = ratings.scale
        rated = np.isfinite(ratings.values).any(axis=0)
        if not rated.all():
            never = [name for name, has in zip(ratings.outputs, rated, strict=True) if not has]
            raise ValueError(f"nobody rated {never}: leave these outputs out.")
        seen = np.stack([np.nanmin(ratings.values, axis=0), np.nanmax(ratings.values, axis=0)], axis=1).astype(float)
        low, high = (seen if ratings.scale is None else ratings.scale).T
        self._centre = (low + high) / 2
        self._half = np.where(high > low, (high - low) / 2, 1.0)

    def _to_unit(self, ratings: Ratings) -> Ratings:
        """Return ratings on the scale of the net."""
        self.check_scale(ratings)
        return ratings.with_values(((ratings.values - self._centre) / self._half).astype(np.float32))

    def check_scale(self, ratings: Ratings) -> None:
        """Raise if ratings declare another scale than those of the training.

        Parameters
        ----------
        ratings : Ratings
            Ratings of another corpus.
        """
        if ratings.scale is not None and self.scale_ is not None and not np.array_equal(ratings.scale, self.scale_):
            raise ValueError(
                f"ratings are on the scale {ratings.scale.tolist()}, those of the training on {self.scale_.tolist()}. "
                "Bring both to one with ratings.rescaled((low, high))."
            )

    def _make_net(self, **changes: Any) -> Any:
        """Return the net that the parameters describe."""
        import torch

        from sklearn_annoser.network import EpochBar, MultiHeadNet

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
        return MultiHeadNet(**(settings | changes))

    def _take(self, net: Any, annotators: np.ndarray) -> AnnotatorMappedRegressor:
        """Take over a trained net: its heads on the users' scale, its history, and no selection."""
        if not all(bool(weights.isfinite().all()) for weights in net.module_.parameters()):
            raise ValueError(
                f"training diverged: weights are not finite any more. Lower lr={self.lr}, momentum={self.momentum} or "
                f"weight_decay={self.weight_decay}, and see that no feature is far larger than the others."
            )
        heads = net.module_.stacked_heads().cpu().numpy() * self._half[:, None].astype(np.float32)
        heads[:, :, -1] += self._centre
        self.net_, self.annotators_ = net, annotators
        self.heads_, self._consensus_heads = heads[: len(annotators)], heads[len(annotators) :]
        self.variance_heads_ = None
        if net.variance_heads:
            self.variance_heads_ = net.module_.stacked_variance_heads()[: len(annotators)].cpu().numpy().copy()
            self.variance_heads_[:, :, -1] += 2 * np.log(self._half)
        if hasattr(self, "tuning_scores_"):
            del self.tuning_scores_
        self.n_iter_ = len(net.history)
        kept = ("epoch", "train_loss", "valid_loss", "event_lr", "dur")
        self.history_ = pd.DataFrame([{key: row[key] for key in kept if key in row} for row in net.history])
        return self.clear_selection()

    def _learn_prior(self, X: np.ndarray, unseen: np.ndarray, ratings: Ratings) -> AnnotatorMappedRegressor:
        """Learn what to expect of new annotators, from samples that were not trained on, if there are, and ratings."""
        parts = np.split(unseen, np.arange(BLOCK_ROWS, len(unseen), BLOCK_ROWS))  # X is large: no copy of many rows
        blocks = (hidden for rows in parts for hidden in self._hidden_blocks(X[rows]))
        self.prior_ = learn_prior(blocks, self.heads_.mean(axis=0), ratings[unseen], ratings)
        return self

    def _hidden_blocks(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """Walk over the hidden features of checked X."""
        return (hidden for _, hidden in self.net_.hidden_blocks(_tensor(X)))

    def with_heads(self, annotators: Any, heads: Any) -> AnnotatorMappedRegressor:
        """Return a copy that knows other annotators, by heads on the same hidden features.

        With `warm_start` it can be trained on from there: :meth:`AnnotatorMapper.to_regressor` makes one to fine-tune.
        In variants with variances these annotators have the mean variance head of all.

        Parameters
        ----------
        annotators : array-like of labels, shape (n_annotators,)
            The annotators it shall know.
        heads : array-like, shape (n_annotators, n_outputs, n_hidden + 1)
            Their heads, on the scale of the ratings, the bias last.

        Returns
        -------
        AnnotatorMappedRegressor
        """
        check_is_fitted(self)
        annotators = check_labels("annotators", annotators)
        heads = check_finite_values("heads", heads, max_ndim=3)
        if heads.shape != (len(annotators), *self.heads_.shape[1:]):
            raise ValueError(
                f"heads must have shape {(len(annotators), *self.heads_.shape[1:])}, a head for each annotator, got "
                f"{heads.shape}."
            )
        other = copy.deepcopy(self)
        other.net_.replace_heads(self._unit_heads(heads))
        return other._take(other.net_, annotators)

    def _unit_heads(self, heads: np.ndarray) -> np.ndarray:
        """Return heads on the scale of the net."""
        unit = heads / self._half[:, None]
        unit[:, :, -1] -= self._centre / self._half
        return unit.astype(np.float32)

    def _warn_if_blown_up(self, X: np.ndarray) -> None:
        """Warn if predictions are absurd: too large a step leaves weights which are finite, and learn nothing more."""
        head = self.heads_.mean(axis=0)
        _, hidden = next(self.net_.hidden_blocks(_tensor(X[:N_LOOKED_AT])))
        predicted = (hidden * head[:, :-1]).sum(axis=2) + head[:, -1]
        reach = float(np.abs((predicted - self._centre) / self._half).max())
        if reach > FAR:
            warnings.warn(
                f"training has blown up: predictions reach {reach:.0f} times the scale of the ratings. Lower "
                f"lr={self.lr}, and bring the features to one scale, for example with StandardScaler.",
                stacklevel=3,
            )

    # ------------------------------------------------------------------ serving a new annotator

    def select_annotator(
        self,
        X: Any,
        y: Any,
        *,
        strategy: str = "joint",
        n_heads: int = 5,
        calibration: str | None = None,
        n_bootstrap: int = 100,
        n_folds: int = 5,
    ) -> Any:
        """Find the known annotator who is most similar to a new one; `predict` then predicts as they would.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples that the new annotator rated. With Ratings also of samples that they did not rate:
            those tell "blend" and the calibration what the target corpus is like.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or Ratings of one annotator
            Their ratings; 15 to 20 suffice.
        strategy : {"joint", "separate", "top-n", "blend", "all", "random"}, default="joint"
            One annotator for all outputs, by the sum of the outputs' CCC (the paper's); the best for each output; the
            mean of the `n_heads` best; what all known heads and the ratings make one expect, which predicts best with
            ``calibration="affine"``; the mean of all; a uniform draw.
        n_heads : int, default=5
            How many heads "top-n" averages.
        calibration : {None, "affine"}, default=None
            Whether to move the predictions' mean and spread to those that the ratings, and those of the known
            annotators, make one expect: recommended.
        n_bootstrap : int, default=100
            Resamples behind `wins` and `confidence_`; 0 for none.
        n_folds : int, default=5
            Folds of the ratings behind `expected_score_`.

        Returns
        -------
        label, tuple of labels, or None
            The source annotator; for "separate" one for each output, for "top-n" the best `n_heads`; None if nobody
            in particular serves: for "blend" and "all", and if the ratings do not tell the annotators apart (see
            `on_unknown`).

        Raises
        ------
        NotFittedError
            `fit` has not been called.
        ValueError
            Shapes do not fit, ratings are not finite, or `on_unknown="raise"` and the ratings cannot be mapped.
        """
        check_is_fitted(self)
        check_option("strategy", strategy, STRATEGIES)
        check_number("n_bootstrap", n_bootstrap, low=0, integer=True)
        check_number("n_folds", n_folds, low=2, integer=True)
        X, ratings = self._check_enrollment(X, y)
        hidden = np.concatenate(list(self._hidden_blocks(X)))
        rng = self._rng()
        prior = self.prior_.with_samples([hidden])
        how: dict[str, Any] = {"strategy": strategy, "n_heads": n_heads, "calibration": calibration, "min_ratings": 1}
        mapping = map_annotators(hidden, self.heads_, ratings, prior=prior, rng=rng, **how)
        self._report_unmapped(mapping)
        if strategy not in CHOOSING:
            wins, confidence = np.zeros(len(self.heads_)), np.nan
        else:
            wins, confidence = bootstrap_heads(
                hidden[ratings.rows], self.heads_, ratings.values, strategy=strategy, n_bootstrap=n_bootstrap, rng=rng
            )
        table = pd.DataFrame(mapping.scores[0], index=self.annotators_, columns=list(self.outputs_))
        table = table.assign(score=mapping.scores[0].sum(axis=1), wins=wins)
        self.selection_ = table.sort_values("score", ascending=False, kind="stable")
        self.confidence_ = confidence
        forecast = forecast_scores(mapping, hidden, self.heads_, ratings, prior, n_folds=n_folds, rng=rng, **how)
        columns = {"score": forecast.score[0], "low": forecast.low[0], "high": forecast.high[0]}
        self.expected_score_ = pd.DataFrame(columns, index=pd.Index(self.outputs_, name="output"))
        self._selected_head = mapping.heads[0]
        self.selected_annotator_ = self._selected_label(mapping, strategy)
        return self.selected_annotator_

    def suggest_enrollment(self, X: Any, n: int = 20) -> np.ndarray:
        """Choose the samples that a new annotator should rate: few that stand for all, as the known heads see them.

        The predictions for the chosen samples are distributed as those for all: what the annotators agree on, and how
        they differ. See :func:`sklearn_annoser.mapping.representative_rows`. Outliers, on which the annotators
        differ most, are not sought: ratings of those mislead the choice of a head, and its calibration even more.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the pool of samples that could be rated, without ratings; they should be of the kind that is to
            be predicted later. After a pipeline: ``model[-1].suggest_enrollment(model[:-1].transform(X))``.
        n : int, default=20
            How many to choose.

        Returns
        -------
        array of int, shape (n,)
            Rows of `X`, in the order in which to ask: who stops early has rated a good choice of fewer samples.

        Raises
        ------
        NotFittedError
            `fit` has not been called.
        ValueError
            `X` has fewer than `n` samples, or other features than the training data.

        Examples
        --------
        >>> from sklearn_annoser import AnnotatorMappedRegressor
        >>> from sklearn_annoser.datasets import make_corpora
        >>> source, target = make_corpora(n_samples=100, random_state=0)
        >>> model = AnnotatorMappedRegressor(max_epochs=2, random_state=0).fit(source.X, source.ratings)
        >>> rows = model.suggest_enrollment(target.X, 15)
        >>> target.X[rows].shape == (15, target.X.shape[1])
        True
        """
        check_is_fitted(self)
        check_number("n", n, low=1, integer=True)
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        if n > len(X):
            raise ValueError(f"n must be at most the number of samples in X, {len(X)}, got {n}.")
        reference = spread_rows(len(X), N_REFERENCE)
        axes = comparison_axes(np.concatenate(list(self._hidden_blocks(X[reference]))), self.heads_)
        coordinates = np.concatenate([hidden.reshape(len(hidden), -1) @ axes for hidden in self._hidden_blocks(X)])
        return representative_rows(coordinates, n, coordinates[reference])

    def clear_selection(self) -> AnnotatorMappedRegressor:
        """Forget the selected annotator; `predict` predicts the consensus again.

        Returns
        -------
        self
        """
        self.selected_annotator_ = None
        self._selected_head = None
        for name in ("selection_", "confidence_", "expected_score_"):
            if hasattr(self, name):
                delattr(self, name)
        return self

    def _check_enrollment(self, X: Any, y: Any) -> tuple[np.ndarray, Ratings]:
        """Return features and ratings of one new annotator, checked."""
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        if isinstance(y, Ratings):
            ratings = y.keep_annotators()
            if ratings.n_annotators != 1:
                raise ValueError(
                    f"y must be the ratings of one new annotator, got {ratings.n_annotators}. AnnotatorMapper maps "
                    "many at once."
                )
        else:
            values = check_finite_values("y", y)
            n_given = 1 if values.ndim == 1 else values.shape[1]
            if n_given != len(self.outputs_):
                raise ValueError(
                    f"y must have {len(self.outputs_)} outputs, {list(self.outputs_)}, got shape {values.shape}."
                )
            check_consistent_length(X, values)
            ratings = ratings_of_rows(y, values, "new annotator")
        check_consistent_length(X, ratings)
        self.check_outputs(ratings)
        self.check_scale(ratings)
        return X, ratings

    def _report_unmapped(self, mapping: Mapping) -> None:
        """Warn or raise if equal ratings left no head to choose."""
        unmapped = [name for name, mapped in zip(self.outputs_, mapping.mapped[0], strict=True) if not mapped]
        if not unmapped or self.on_unknown == "consensus":
            return
        message = (
            f"the enrollment ratings of {unmapped} are missing or all equal, so every head has a CCC of 0 and none can "
            "be chosen."
        )
        if self.on_unknown == "raise":
            raise ValueError(f"{message} Enrol with samples that the annotator rates differently.")
        warnings.warn(f"{message} The mean of all heads is used.", stacklevel=3)

    def _selected_label(self, mapping: Mapping, strategy: str) -> Any:
        """Return who was chosen: a label, a tuple of labels, or None."""
        if mapping.chosen is None or not mapping.mapped.any():
            return None
        labels = self.annotators_[mapping.chosen[0]].tolist()  # n_outputs lists of n_chosen plain labels
        if strategy == "separate":
            found = zip(labels, mapping.mapped[0], strict=True)
            return tuple(best if mapped else None for (best,), mapped in found)
        return tuple(labels[0]) if strategy == "top-n" else labels[0][0]

    # ------------------------------------------------------------------ distributions

    def predict_distribution(
        self,
        X: Any,
        *,
        n_cells: int = 4,
        edges: Any = None,
        annotators: Any = None,
        outputs: Any = None,
        kind: str = "histogram",
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Predict how the ratings of all annotators are distributed over a grid, for each sample.

        With a variance for each annotator (the variants with "+variance") a histogram holds the mass of their Gaussians
        in each cell, without one the share of the annotators whose prediction falls into it. What lies beyond the
        edges counts in the outermost cell, as no rating lies there.

        A kernel density smooths the predictions, not the variances: each prediction, moved to the edges if it lies
        beyond, is a Gaussian of Scott's bandwidth :math:`\hat\sigma_k n^{-1 / (d + 4)}` in output `k`, with `n`
        annotators and `d` outputs; what their sum has within the edges is scaled to 1.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        n_cells : int, default=4
            Cells of equal width over the scale of the ratings: the declared one, or the range seen in training.
        edges : array-like, shape (n_cells + 1,) or (n_chosen_outputs, n_cells + 1), default=None
            Edges of the cells instead, for all outputs or for each.
        annotators : array-like of labels, default=None
            Whose ratings. None: those of all `annotators_`.
        outputs : array-like of str, default=None
            One or two of `outputs_`, in the order of the axes. None: all, if there are no more than two.
        kind : {"histogram", "kde"}, default="histogram"
            Whether to count, or to smooth by a Gaussian kernel.

        Returns
        -------
        mass : array, shape (n_samples, n_cells) or (n_samples, n_cells, n_cells)
            Mass in each cell, for one output or two; that of a sample sums to 1.
        edges : array, shape (n_cells + 1,) or (2, n_cells + 1)
            Edges of the cells, for one output or two.

        Raises
        ------
        NotFittedError
            `fit` has not been called.
        ValueError
            There are more than two outputs to show, no annotators, or edges that do not increase.

        References
        ----------
        D. W. Scott, "Multivariate Density Estimation", Wiley, 1992, https://doi.org/10.1002/9780470316849

        Examples
        --------
        >>> from sklearn_annoser import AnnotatorMappedRegressor
        >>> from sklearn_annoser.datasets import make_corpora
        >>> source, _ = make_corpora(n_samples=200, n_annotators=10, random_state=0)
        >>> model = AnnotatorMappedRegressor(n_hidden=16, lr=0.02, max_epochs=5, random_state=0)
        >>> mass, edges = model.fit(source.X, source.ratings).predict_distribution(source.X, n_cells=5)
        >>> mass.shape, edges.shape
        ((200, 5, 5), (2, 6))
        """
        check_is_fitted(self)
        check_option("kind", kind, DISTRIBUTIONS)
        chosen = self._chosen_outputs(outputs)
        grid = self._grid(n_cells, edges, chosen)
        heads = self._heads_of(annotators)[:, chosen]
        if not len(heads):
            raise ValueError("annotators must name at least one annotator, got none.")
        variances = self._variance_heads_of(annotators, chosen) if kind == "histogram" else None
        step = max(1, BLOCK_BYTES // (grid.nbytes * len(heads)))
        blocks = [
            _mass(hidden[start : start + step, chosen], heads, variances, grid, kind)
            for _, hidden in self.iter_hidden(X)
            for start in range(0, len(hidden), step)
        ]
        return np.concatenate(blocks), grid if len(chosen) == 2 else grid[0]

    def _variance_heads_of(self, annotators: Any, chosen: np.ndarray) -> np.ndarray | None:
        """Return the heads of the log-variances of some annotators, or all, and chosen outputs; None without any."""
        if self.variance_heads_ is None:
            return None
        labels = self.annotators_ if annotators is None else annotators
        codes = check_known("annotator", labels, self.annotators_, "the fitted annotators")
        return self.variance_heads_[codes][:, chosen]

    def _chosen_outputs(self, outputs: Any) -> np.ndarray:
        """Return the positions of the one or two outputs of a distribution."""
        names = list(self.outputs_)
        if outputs is None:
            if len(names) > 2:
                raise ValueError(
                    f"there are {len(names)} outputs, {names}: choose two, for example outputs={names[:2]}."
                )
            return np.arange(len(names))
        if np.ndim(outputs) == 0:
            raise ValueError(f"outputs must be a sequence of names, got {outputs!r}.")
        chosen = check_known("output", outputs, np.array(names), "the outputs of the ratings")
        if len(chosen) not in (1, 2) or len(set(chosen)) < len(chosen):
            raise ValueError(f"outputs must be one or two different names of {names}, got {list(outputs)}.")
        return chosen

    def _grid(self, n_cells: int, edges: Any, chosen: np.ndarray) -> np.ndarray:
        """Return the edges of the cells of each chosen output, (n_chosen, n_cells + 1)."""
        if edges is None:
            check_number("n_cells", n_cells, low=1, integer=True)
            low, high = self._centre - self._half, self._centre + self._half
            return np.linspace(low[chosen], high[chosen], n_cells + 1, axis=1)
        grid = np.atleast_2d(check_finite_values("edges", edges).astype(np.float64))
        if len(grid) not in (1, len(chosen)) or grid.shape[1] < 2:
            raise ValueError(
                f"edges must have shape (n_cells + 1,) or ({len(chosen)}, n_cells + 1), got {np.shape(edges)}."
            )
        if (np.diff(grid) <= 0).any():
            raise ValueError(f"edges must increase, got {np.asarray(edges).tolist()}.")
        return np.broadcast_to(grid, (len(chosen), grid.shape[1])).copy()

    # ------------------------------------------------------------------ what AnnotatorPredictor asks for

    def iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over what the heads see of each sample, in blocks.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.

        Yields
        ------
        rows : slice
            The samples of the block.
        hidden : array, shape (n_block, n_outputs, n_hidden)
            Output of the towers.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        yield from self.net_.hidden_blocks(_tensor(X))

    def _default_head(self) -> tuple[np.ndarray, bool]:
        if self._selected_head is not None:
            return self._selected_head, True
        heads = self._consensus_heads if len(self._consensus_heads) else self.heads_
        consensus_only = self.annotators_.tolist() == [CONSENSUS]  # nobody is known, and nobody was meant to be
        return heads.mean(axis=0, dtype=np.float64).astype(heads.dtype), consensus_only

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _mass(
    hidden: np.ndarray, heads: np.ndarray, variances: np.ndarray | None, grid: np.ndarray, kind: str
) -> np.ndarray:
    """Return the distribution over a grid, (n_outputs, n_cells + 1), of what heads say of a block of samples."""
    means = _apply_heads(hidden, heads)
    if kind == "kde":
        return _kernel_mass(means, grid)
    if variances is None:
        return _counted_mass(means, grid)
    return _gaussian_mass(means, np.exp(_apply_heads(hidden, variances) / 2), grid)


def _apply_heads(hidden: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Return what heads say of a block of samples, (n_outputs, n_samples, n_heads), in float64."""
    weights, bias = heads[:, :, :-1].transpose(1, 2, 0), heads[:, :, -1].T[:, None]
    return (hidden.transpose(1, 0, 2) @ weights).astype(np.float64) + bias


def _counted_mass(means: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the share of the annotators in each cell; a cell holds its lower edge, the last one both."""
    n_samples, n_annotators = means.shape[1:]
    n_cells = grid.shape[1] - 1
    cells = np.arange(n_samples)[:, None]
    for values, edges in zip(means, grid, strict=True):
        cells = cells * n_cells + np.searchsorted(edges[1:-1], values, side="right")
    counted = np.bincount(cells.ravel(), minlength=n_samples * n_cells ** len(grid))
    return counted.reshape(n_samples, *[n_cells] * len(grid)) / n_annotators


def _gaussian_mass(means: np.ndarray, deviations: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mass of the annotators' Gaussians in each cell; the outermost cells reach to infinity."""
    reaching = grid.copy()
    reaching[:, [0, -1]] = -np.inf, np.inf
    return _mixed_mass(means, deviations, reaching) / means.shape[2]


def _kernel_mass(means: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mass of a kernel density in each cell, cut off at the outermost edges and scaled to 1."""
    means = np.clip(means, grid[:, :1, None], grid[:, -1:, None])
    n_outputs, _, n_annotators = means.shape
    deviation = means.std(axis=2, ddof=1, keepdims=True) if n_annotators > 1 else 0.0
    bandwidth = deviation * n_annotators ** (-1 / (n_outputs + 4))
    # Equal predictions have no spread; so narrow a kernel counts them.
    least = 1e-6 * np.ptp(grid, axis=1)[:, None, None]
    mass = _mixed_mass(means, np.maximum(bandwidth, least), grid)
    return mass / mass.sum(axis=tuple(range(1, mass.ndim)), keepdims=True)


def _mixed_mass(means: np.ndarray, deviations: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mass in each cell of a sum of Gaussians, uncorrelated if of two outputs."""
    parts = []
    for mean, deviation, edges in zip(means, deviations, grid, strict=True):
        below = ndtr((edges[:, None, None] - mean) / deviation)  # (n_cells + 1, n_samples, n_annotators)
        parts.append(np.diff(below, axis=0).transpose(1, 0, 2))  # (n_samples, n_cells, n_annotators)
    return parts[0].sum(axis=2) if len(parts) == 1 else parts[0] @ parts[1].transpose(0, 2, 1)


def _recoded(ratings: Ratings, annotators: pd.Index) -> Ratings:
    """Return ratings whose annotators are a longer, given list."""
    codes = annotators.get_indexer(pd.Index(ratings.annotators))[ratings.codes]
    return Ratings(
        ratings.indptr,
        codes,
        ratings.values,
        annotators=annotators.to_numpy(),
        outputs=ratings.outputs,
        scale=ratings.scale,
    )


def _tensor(X: np.ndarray) -> Any:
    """Return features as the tensor that shares their memory."""
    from sklearn_annoser.network import as_tensor

    return as_tensor(X)


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


def _seeded(seed: int, device: str) -> Any:
    """Return a context in which torch draws from `seed`, and after which its own state is back."""
    from sklearn_annoser.network import seeded

    return seeded(seed, device)
