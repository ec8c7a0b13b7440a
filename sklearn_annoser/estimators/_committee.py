"""`AnnotatorCommittee`: several networks, several of the consensus and a ridge, as one estimator."""

from __future__ import annotations

from typing import Any

from sklearn_annoser.estimators._regressor import AnnotatorMappedRegressor

__all__ = ["AnnotatorCommittee"]


class AnnotatorCommittee(AnnotatorMappedRegressor):
    """Learn every annotator by several networks, which together predict better than one; the recommended model.

    Members differ by their seed: their weights, the order of their batches, and the samples that each draws for its
    validation, so that the committee learns from all samples; those given as `validation` are shared. Their
    predictions are averaged. Networks of the consensus and a ridge regression, which know no annotators, steady what
    all annotators have in common: their predictions are brought to the mean and spread of the members', and count
    beside them. What parts count for, and what is to be expected of new samples, is learned from what members predict
    of samples that they were not trained on. Still there is one linear head for each annotator, on the hidden features
    of all members side by side, so that everything works as with one network, but for fine-tuning and variances.

    All other parameters are those of :class:`AnnotatorMappedRegressor`, with the same defaults.

    Parameters
    ----------
    n_threads : int or None, default=2
        Threads while training on a CPU. Each has some of the members to train, and waits for the others at the end of
        an epoch only. None is as many as torch would use.
    n_members : int, default=5
        Networks with a head for each annotator. Each is what :class:`AnnotatorMappedRegressor` would be alone: the
        first with the same `random_state`, the next ones with the numbers that follow the seed drawn from it.
    n_consensus_members : int, default=5
        Networks with a single head, of the consensus.
    ridge : bool, default=True
        Whether there is a ridge regression on the consensus. With it the last of the hidden features, the same for each
        output, are the leading principal components of `X`, at most 128, whose weight is 0 in every head:
        ``prior_.n_content`` is their number.

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorCommittee
    >>> from sklearn_annoser.datasets import make_corpora
    >>> source, target = make_corpora(n_samples=300, n_annotators=10, random_state=0)
    >>> model = AnnotatorCommittee(n_hidden=32, lr=0.02, max_epochs=10, random_state=0).fit(source.X, source.ratings)
    >>> model.heads_.shape  # 5 times 32, 5 networks of the consensus, the ridge, 64 components and the bias
    (10, 2, 231)
    >>> rows, values = target.ratings.of("target_000")
    >>> label = model.select_annotator(target.X[rows[:20]], values[:20])
    >>> model.predict(target.X).shape
    (300, 2)
    """

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
        n_threads: int | None = 2,
        random_state: Any = None,
        verbose: int = 0,
        callbacks: list[Any] | None = None,
        n_members: int = 5,
        n_consensus_members: int = 5,
        ridge: bool = True,
        clip: bool = False,
    ) -> None:
        super().__init__(
            variant=variant,
            n_hidden=n_hidden,
            n_tower_layers=n_tower_layers,
            dropout=dropout,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            batch_size=batch_size,
            max_epochs=max_epochs,
            pretrain_epochs=pretrain_epochs,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            lr_patience=lr_patience,
            min_ratings=min_ratings,
            warm_start=warm_start,
            on_unknown=on_unknown,
            device=device,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
            callbacks=callbacks,
            n_members=n_members,
            n_consensus_members=n_consensus_members,
            ridge=ridge,
            clip=clip,
        )
