"""`AnnotatorMappedRegressor`: learn every annotator of a corpus, serve a new one from a few ratings."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._features import Features, select_rows, validate_features
from sklearn_annoser._validation import (
    check_finite_values,
    check_groups,
    check_known,
    check_labels,
    check_sample_weight,
    find_labels,
)
from sklearn_annoser.estimators._distribution import DistributionPredictor
from sklearn_annoser.estimators._enrollment import EnrolsOneAnnotator
from sklearn_annoser.estimators._fitted_prior import fitted_prior
from sklearn_annoser.estimators._training import HeadTrainer, TrainingInterrupted, all_finite, or_as_before
from sklearn_annoser.estimators._unit_scale import UnitScale
from sklearn_annoser.ratings import CONSENSUS, Ratings

__all__ = ["AnnotatorMappedRegressor"]

N_LOOKED_AT = 256  # samples, after training
FAR = 20.0  # times half the scale: nobody rates there


class AnnotatorMappedRegressor(HeadTrainer, EnrolsOneAnnotator, DistributionPredictor):
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
        Annotators with fewer ratings in the training split, in a committee in that of every network, get no head.
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
    n_members : int, default=1
        Networks whose predictions are averaged, each with a seed of its own: see :class:`AnnotatorCommittee`.
    n_consensus_members : int, default=0
        Networks with a single head, of the consensus, that count beside them, the same for everybody.
    ridge : bool, default=False
        Whether a ridge regression on the consensus counts beside them too.
    clip : bool, default=False
        Whether what lies beyond the scale that the ratings declare is predicted as its end.

    Attributes
    ----------
    annotators_ : array, shape (n_annotators,)
        Labels of the annotators that have a head.
    heads_ : array, shape (n_annotators, n_outputs, n_hidden + 1)
        Their heads, on the scale of the ratings, the bias last. In a committee the hidden features of all members stand
        side by side, then come a column for each network of the consensus, one for the ridge and those of content.
    variance_heads_ : array, shape (n_annotators, n_outputs, n_hidden + 1), or None
        Heads of the logarithm of the variance of their ratings, on the squared scale of the ratings; None in variants
        without.
    prior_ : Prior
        What the ratings make one expect of samples and annotators that are not among them; "blend" and calibration
        start from it; for ratings from -1 to 1.
    outputs_ : tuple of str
        Names of the outputs.
    net_ : MultiHeadNet or CommitteeNet
        The trained net; it works on ratings rescaled to [-1, 1].
    history_ : DataFrame
        Losses by epoch; in a committee by epoch and `member`.
    n_iter_ : int
        Number of epochs trained; in a committee those of the longest training.
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
    n_features_in_, feature_names_in_ : int, and array of str
        Number of features, and their names if `X` had string column names.

    References
    ----------
    J. Tavernor and E. Mower Provost, "More Similar than Dissimilar", 2025, https://arxiv.org/abs/2509.12295

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

    VARIANTS = (
        "individual",
        "individual+consensus",
        "individual+variance",
        "individual+consensus+variance",
        "aggregate",
    )

    @or_as_before
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
            Features of the samples. An array is not copied, nor is one that is mapped from a file read into memory:
            of any but C-contiguous float32 a few rows at a time are converted.
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            Ratings; or one rating a sample, by `annotators`; the columns of a DataFrame name the outputs.
        annotators : array-like, shape (n_samples,), default=None
            Who gave each rating, if `y` is an array. None: it is the consensus.
        groups : array-like, shape (n_samples,), default=None
            Group of each sample, such as its speaker: no group is in both training and validation.
        validation : array-like of bool, shape (n_samples,), default=None
            Which samples are for validation, where a corpus has such a split. None: they are drawn.
        sample_weight : array-like, shape (n_samples,), default=None
            Weight of each sample's ratings in the losses, in training and for early stopping. A sample of weight 0 is
            as good as not there.

        Returns
        -------
        self

        Raises
        ------
        KeyboardInterrupt
            The training was interrupted (Ctrl-C), so that whoever called it stops too. If an epoch came to its end,
            the best weights so far are kept and the estimator is fitted, else it is as it was before.
        """
        self._check_parameters()
        warm = self.warm_start and hasattr(self, "net_")
        self._check_makeup(warm)
        X, ratings = self._check_trainable(X, y, annotators, reset=not warm)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, len(X))
        groups = check_groups(groups, len(X))
        if weight is not None and not weight.all():  # what weighs nothing is not there, not even for scale and prior
            there = weight > 0
            groups, validation = (_rows_of(each, there) for each in (groups, validation))
            X, ratings, weight = select_rows(X, there), ratings[there], weight[there]
        seed = self._rng().randint(2**31 - 1)
        splits = self._validation_splits(seed, validation)
        parts = [split.rows(len(X), groups) for split in splits]
        given, ratings = ratings, self._trainable(ratings, self.min_ratings, [train for train, _ in parts])
        if warm:
            ratings = self._after_known(ratings)
        else:
            self.outputs_, self._unit_scale = ratings.outputs, self._scale_of(given, ratings)
        self._check_clip()
        net = self._make_net(train_split=next(iter(splits), None))
        train = partial(net.fit_from, self.net_) if warm else net.fit
        interruption = None
        try:
            with _seeded(seed):
                train(_tensor(X), self._unit_scale.to_unit(ratings), groups=groups, sample_weight=weight)
        except KeyboardInterrupt as error:
            if not net.history:
                raise
            interruption = error
        self._take(net, ratings.annotators)
        self._warn_if_blown_up(X)
        self._learn_prior(X, given, [valid for _, valid in parts])
        if interruption is not None:
            raise TrainingInterrupted(*interruption.args) from interruption
        return self

    @or_as_before
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
        self._check_makeup(not first)
        X, given = self._check_trainable(X, y, annotators, reset=first)
        ratings = self._trainable(given, self.min_ratings if first else 1)
        seed = self._rng().randint(2**31 - 1)
        if first:
            self.outputs_, self._unit_scale = ratings.outputs, self._scale_of(given, ratings)
            self._check_clip()
            net = self._make_net(train_split=None, max_epochs=1, pretrain_epochs=0)
            with _seeded(seed):
                net.fit(_tensor(X), self._unit_scale.to_unit(ratings))
            return self._take(net, ratings.annotators)._learn_prior(X, given)
        ratings = self._after_known(ratings)
        n_new = ratings.n_annotators - len(self.annotators_)
        unit = self._unit_scale.to_unit(ratings)
        if self.net_.lr != self.lr:
            self.net_.set_params(lr=self.lr)
        self._let_go()
        with _seeded(seed + self.n_iter_), self.net_.all_or_nothing():
            self.net_.train_epoch(_tensor(X), unit, n_new=n_new)
            self._take(self.net_, ratings.annotators)
            self.prior_ = self.prior_.with_samples(self._hidden_blocks(X))
        return self

    @or_as_before
    def fine_tune(
        self, X: Any, y: Ratings, *, groups: Any = None, start_without: Any = None
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
        groups : array-like, shape (n_samples,), default=None
            Group (speaker) of each sample, which is held out as a whole.
        start_without : callable, default=None
            If `heads_` were made from these ratings: given positions of samples, returns heads of the same shape, for
            ratings from -1 to 1, that were made without their ratings, for the copy that is to be judged on them.

        Returns
        -------
        self
            `tuning_scores_` has the correlation on held-out ratings, within annotators and averaged over outputs,
            before the first epoch and after each.
        """
        from sklearn_annoser.network import held_out_parts, tune

        check_is_fitted(self)
        self._check_parameters()
        self._check_fine_tunable()
        X, given = self._check_trainable(X, y, None, reset=False)
        check_known("annotator", given.keep_annotators().annotators, self.annotators_, "the fitted annotators")
        ratings = self._unit_scale.to_unit(self._after_known(given))
        groups = check_groups(groups, len(X))
        seed = self._rng().randint(2**31 - 1)
        parts = held_out_parts(ratings, groups=groups, random_state=seed)
        if not parts:
            self.tuning_scores_ = np.empty(0)
            what = "sample" if groups is None else "group"
            warnings.warn(f"nothing is fine-tuned: all ratings are of one {what}, none can be held out.", stacklevel=2)
            return self
        self.net_.set_params(lr=self.lr)
        self.net_.max_epochs, self.net_.patience = self.max_epochs, self.patience
        self._let_go()
        with _seeded(seed), self.net_.all_or_nothing():
            scores = tune(self.net_, _tensor(X), ratings, held_out=parts, start_without=start_without)
            self._take(self.net_, self.annotators_)
            self.tuning_scores_ = scores
            self._warn_if_blown_up(X)
            self.prior_ = self.prior_.with_samples(self._hidden_blocks(X))
        return self

    def _check_trainable(self, X: Any, y: Any, annotators: Any, *, reset: bool) -> tuple[Any, Ratings]:
        """Return checked features and, whatever y was given as, Ratings to learn from."""
        X, ratings = self._check_X_y(X, y, annotators, dtype=np.float32, order="C", reset=reset)
        if not ratings.n_ratings:
            raise ValueError("y has no ratings: there is nothing to learn from.")
        if self.variant != "aggregate":
            self._warn_if_lost(y, annotators, ratings)
        return X, ratings

    def _trainable(self, ratings: Ratings, min_ratings: int, training: Sequence[np.ndarray] = ()) -> Ratings:
        """Keep the annotators that have enough ratings in a training split, or their consensus."""
        n_given = ratings.n_annotators
        parts = [ratings[rows].codes for rows in training] or [ratings.codes]
        enough = np.any([np.bincount(codes, minlength=n_given) >= min_ratings for codes in parts], axis=0)
        ratings = ratings.keep_annotators(ratings.annotators[enough])
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
        ratings = self.check_ratings(ratings)
        new = ratings.annotators[find_labels(ratings.annotators, self.annotators_) < 0]
        everyone = check_labels("annotators", [*self.annotators_.tolist(), *sorted(new.tolist())])
        codes = find_labels(ratings.annotators, everyone)[ratings.codes]
        return Ratings(
            ratings.indptr,
            codes,
            ratings.values,
            annotators=everyone,
            outputs=ratings.outputs,
            scale=ratings.scale,
        )

    def _scale_of(self, given: Ratings, learned: Ratings) -> UnitScale:
        """Return how ratings become -1 to 1: from their declared scale, or from the range seen."""
        return UnitScale.of(given, learned)

    @property
    def variance_heads_(self) -> np.ndarray | None:
        """Heads of the logarithm of the annotators' variance, on the squared scale of the ratings; None without any."""
        heads = self._unit_variance_heads
        return None if heads is None else self._unit_scale.variance_heads_from_unit(heads)

    def _take(self, net: Any, annotators: np.ndarray) -> AnnotatorMappedRegressor:
        """Take over a trained net: its heads on the users' scale, its history, and no selection."""
        if not all(all_finite(weights.detach()) for weights in net.module_.parameters()):
            raise ValueError(
                f"training diverged: weights are not finite any more. Lower lr={self.lr}, momentum={self.momentum} or "
                f"weight_decay={self.weight_decay}, and see that no feature is far larger than the others."
            )
        heads = net.module_.stacked_heads().cpu().numpy()  # of one network on a CPU its own memory: they may be large
        self.net_, self.annotators_ = net, annotators
        self._unit_heads, self._consensus_heads = heads[: len(annotators)], heads[len(annotators) :]
        self._unit_variance_heads = None
        if net.variance_heads:
            self._unit_variance_heads = net.module_.stacked_variance_heads()[: len(annotators)].cpu().numpy().copy()
        if hasattr(self, "tuning_scores_"):
            del self.tuning_scores_
        self.n_iter_ = max((row["epoch"] for row in net.history), default=0)
        kept = ("epoch", "member", "train_loss", "valid_loss", "event_lr", "dur")
        self.history_ = pd.DataFrame([{key: row[key] for key in kept if key in row} for row in net.history])
        return self.clear_selection()

    def _learn_prior(
        self, X: np.ndarray | Features, ratings: Ratings, valid: Sequence[np.ndarray] = ()
    ) -> AnnotatorMappedRegressor:
        """Learn the prior, from rows that each network was not trained on, if there are."""
        self.prior_ = fitted_prior(self, X, self._unit_scale.to_unit(ratings), valid)
        return self

    def _hidden_blocks(self, X: np.ndarray | Features) -> Iterator[np.ndarray]:
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
        shape = (len(annotators), *self._unit_heads.shape[1:])
        if heads.shape != shape:
            raise ValueError(f"heads must have shape {shape}, a head for each annotator, got {heads.shape}.")
        other = copy.deepcopy(self)
        other.net_.replace_heads(self._unit_scale.heads_to_unit(heads))
        return other._take(other.net_, annotators)

    def _warn_if_blown_up(self, X: np.ndarray | Features) -> None:
        """Warn if predictions are absurd: too large a step leaves weights which are finite, and learn nothing more."""
        head = self._unit_heads.mean(axis=0)
        _, hidden = next(self.net_.hidden_blocks(_tensor(X[:N_LOOKED_AT])))
        reach = float(np.abs((hidden * head[:, :-1]).sum(axis=2) + head[:, -1]).max())
        if reach > FAR:
            warnings.warn(
                f"training has blown up: predictions reach {reach:.0f} times the scale of the ratings. Lower "
                f"lr={self.lr}, and bring the features to one scale, for example with StandardScaler.",
                stacklevel=3,
            )

    # ------------------------------------------------------------------ what AnnotatorPredictor asks for

    def _iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        X = validate_features(self, X, dtype=np.float32, order="C", reset=False)
        yield from self.net_.hidden_blocks(_tensor(X))

    def _default_head(self) -> tuple[np.ndarray, bool]:
        head, chosen = super()._default_head()
        # Nobody is known, and nobody was meant to be.
        return head, chosen or self.annotators_.tolist() == [CONSENSUS]

    def _mean_head(self) -> np.ndarray:
        heads = self._consensus_heads if len(self._consensus_heads) else self._unit_heads
        return heads.mean(axis=0, dtype=np.float64).astype(heads.dtype)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")


def _rows_of(column: Any, rows: np.ndarray) -> np.ndarray | None:
    """Return some rows of something that there is for each sample, or nothing of nothing."""
    if column is None:
        return None
    check_consistent_length(column, rows)
    return np.asarray(column)[rows]


def _tensor(X: np.ndarray | Features) -> Any:
    """Return features as the tensor that shares their memory, streamed ones as they are."""
    from sklearn_annoser.network import as_tensor

    return X if isinstance(X, Features) else as_tensor(X)


def _seeded(seed: int) -> Any:
    """Return a context in which the nets of this thread draw from `seed`; torch's own generator is not touched."""
    from sklearn_annoser.network import seeded

    return seeded(seed)
