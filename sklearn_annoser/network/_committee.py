"""`CommitteeNet`: several networks and a ridge that are trained, and serve, as one."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, PrintLog

from sklearn_annoser._features import Features
from sklearn_annoser.network._committee_module import CommitteeModule
from sklearn_annoser.network._content import fit_content
from sklearn_annoser.network._data import RatingsDataset, ValidationSplit, some_of
from sklearn_annoser.network._epoch_bar import EpochBar
from sklearn_annoser.network._member_splits import mean_where, member_seeds, member_splits, unseen_by
from sklearn_annoser.network._net import BLOCK_ROWS, MultiHeadNet
from sklearn_annoser.network._passes import hidden_blocks, in_passes
from sklearn_annoser.network._plain_state import (
    history_of,
    history_state,
    module_state,
    present_device,
    take_weights,
    to_arrays,
    to_tensors,
)
from sklearn_annoser.network._ratings_net import LITTLE, LONG, TELLING
from sklearn_annoser.network._ridge import fit_ridge, fit_tuned_ridge
from sklearn_annoser.network._shares import standardized_shares
from sklearn_annoser.network._stack import MemberStack
from sklearn_annoser.network._stack_loop import Task, TrainedStack, train_together
from sklearn_annoser.network._stack_training import Recipe, Source
from sklearn_annoser.network._torch_state import generator, plain_torch, seeded
from sklearn_annoser.ratings import Ratings

MOST_SAMPLES = 8192  # are enough to tell the spread of predictions


class CommitteeNet:
    """Train several networks with heads, several of the consensus, and a ridge, and let them predict as one.

    Each network is the one that `net` would be if it was trained alone, with a seed of its own: the first has that of
    the committee, those of the consensus come last. A :class:`ValidationSplit` that draws its samples draws others for
    each, with its seed, so that the committee learns from all samples.

    Parameters
    ----------
    net : MultiHeadNet
        How each network is made and trained; it is not trained itself.
    n_members : int, default=5
        Number of networks with a head for each annotator.
    n_consensus_members : int, default=5
        Number of networks with a single head, of the consensus.
    ridge : bool, default=True
        Whether there is a ridge regression on the consensus.
    """

    consensus_head = variance_heads = False
    module_: CommitteeModule

    def __init__(
        self, net: MultiHeadNet, *, n_members: int = 5, n_consensus_members: int = 5, ridge: bool = True
    ) -> None:
        if net.consensus_head or net.variance_heads:
            raise ValueError(
                'a committee cannot have a consensus head or variance heads: variant must be "individual" or '
                '"aggregate", or n_members=1, n_consensus_members=0, ridge=False.'
            )
        self.net, self.n_members, self.n_consensus_members, self.ridge = net, n_members, n_consensus_members, ridge
        self.lr, self.n_threads = net.lr, net.n_threads
        self.history: list[dict[str, Any]] = []
        self.callbacks = _known_callbacks(net)

    @property
    def n_content(self) -> int:
        """How many of the hidden features, the last ones, are principal components of the features."""
        return self.module_.n_content

    @property
    def makeup(self) -> tuple[int, int, bool]:
        """How many members there are of which kind."""
        return self.n_members, self.n_consensus_members, self.ridge

    def set_params(self, *, lr: float) -> CommitteeNet:
        """Set the learning rate of all members."""
        self.lr = lr
        for each in self.stacks_:
            each.lrs = [lr] * each.stack.n_members
        return self

    # ------------------------------------------------------------------ training

    def fit(self, X: Any, y: Ratings, groups: Any = None, sample_weight: Any = None) -> CommitteeNet:
        """Train all networks, and learn the ridge; parameters and interruption are those of :class:`MultiHeadNet`."""
        dataset = RatingsDataset(X, y, sample_weight=sample_weight)
        self.shape_ = {"n_features": dataset.X.shape[1], "n_annotators": y.n_annotators, "n_outputs": y.n_outputs}
        sources = self._sources(dataset, groups)
        with plain_torch(self.n_threads):
            self._initialize([source.generator for source in sources])
            if self.net.pretrain_epochs:
                self._pretrain(dataset, sources)
            told = self._learn_input(dataset, sources) if self.ridge else None
            return self._train(dataset, sources, told, fill=True)._warn_if_little_is_learned(sources)

    def initialize(self) -> CommitteeNet:
        """Make the module, of the sizes in `shape_`."""
        return self._initialize([torch.Generator("cpu").manual_seed(seed) for seed in self._seeds()])

    def _initialize(self, generators: Sequence[torch.Generator]) -> CommitteeNet:
        """Draw all networks."""
        self.stacks_ = self._drawn(generators, self.shape_)
        sizes = self.shape_["n_features"] + 1, self.shape_["n_outputs"]
        ridge = torch.zeros(sizes, device=self.net.device) if self.ridge else None
        consensus = self.stacks_[1].stack if self.n_consensus_members else None
        self.module_ = CommitteeModule(self.stacks_[0].stack, consensus, ridge)
        return self

    def fit_from(
        self, other: CommitteeNet, X: Any, y: Ratings, groups: Any = None, sample_weight: Any = None
    ) -> CommitteeNet:
        """Train on from another committee, whose ridge stays; see :meth:`MultiHeadNet.fit_from`."""
        dataset = RatingsDataset(X, y, sample_weight=sample_weight)
        sources = self._sources(dataset, groups)
        with plain_torch(self.n_threads):
            self.module_, self.shape_ = copy.deepcopy(other.module_), other.shape_
            self._add_heads(y.n_annotators - len(self.module_.further_heads))
            return self._train(dataset, sources)._warn_if_little_is_learned(sources)

    def train_epoch(self, X: Any, y: Ratings, *, n_new: int = 0) -> CommitteeNet:
        """Train all networks one epoch more on everything; see :meth:`MultiHeadNet.train_epoch`."""
        dataset = RatingsDataset(X, y)
        sources = [Source(torch.Generator("cpu").manual_seed(seed), dataset, None) for seed in self._seeds()]
        with plain_torch(self.n_threads):
            if n_new:
                self._add_heads(n_new)
            for rows in self._epochs(self.stacks_, dataset, sources, 1):
                self.history += rows
        return self

    def replace_heads(self, heads: np.ndarray) -> CommitteeNet:
        """Take other annotators' heads, (n_annotators, n_outputs, n_hidden + 1), instead of its own."""
        self.module_.replace_heads(torch.as_tensor(heads, device=self.net.device))
        self._start_stacks()
        return self

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Train in it; what fails or is interrupted leaves weights and history as they were."""
        names = ("module_", "stacks_", "history", "shape_")
        kept = copy.deepcopy({name: vars(self)[name] for name in names})  # as one, for they share weights
        try:
            yield
        except BaseException:
            vars(self).update(kept)
            raise

    def _seeds(self) -> list[int]:
        """Return the seed of each network: that of this thread, and those that follow from it."""
        seed = (generator() or torch.default_generator).initial_seed()
        return member_seeds(seed, self.n_members + self.n_consensus_members)

    def _sources(self, dataset: RatingsDataset, groups: Any) -> list[Source]:
        """Return what each network draws from, and its training and validation samples."""
        found, seeds = [], self._seeds()
        for seed, split in zip(seeds, member_splits(self.net.train_split, seeds), strict=True):
            train, valid = split(dataset, groups=groups) if split else (dataset, None)
            found.append(Source(torch.Generator("cpu").manual_seed(seed), train, valid))
        return found

    def _drawn(self, generators: Sequence[torch.Generator], shape: dict[str, int]) -> list[TrainedStack]:
        """Return new networks, of these sizes."""
        sizes = shape | self.net.get_params_for("module")
        own, consensus = generators[: self.n_members], generators[self.n_members :]
        found = [("network", MemberStack.drawn(own, sizes))]
        if consensus:
            found.append(("consensus", MemberStack.drawn(consensus, sizes | {"n_annotators": 1})))
        return [self._trainable(name, stack.to(self.net.device)) for name, stack in found]

    def _trainable(self, name: str, stack: MemberStack) -> TrainedStack:
        """Return a stack that is trained from the learning rate."""
        return TrainedStack(name, stack, [self.lr] * stack.n_members)

    def _start_stacks(self) -> None:
        """Let all members of the module be trained from the learning rate, at rest."""
        stacks = {"network": self.module_.members, "consensus": self.module_.consensus}
        self.stacks_ = [self._trainable(name, stack) for name, stack in stacks.items() if stack is not None]
        self.shape_ = self.shape_ | {"n_annotators": len(self.module_.further_heads)}

    def _add_heads(self, n_new: int) -> None:
        """Add heads for annotators not seen before."""
        if n_new:
            self.module_.add_heads(n_new)
        self._start_stacks()

    def _pretrain(self, dataset: RatingsDataset, sources: list[Source]) -> None:
        """Train all members on the consensus, with a single head that becomes everybody's."""
        first = self._drawn([source.generator for source in sources], self.shape_ | {"n_annotators": 1})
        sources = [replace(source, valid=None) for source in _of_consensus(dataset, sources)]
        for _ in self._epochs(first, dataset, sources, self.net.pretrain_epochs):
            pass
        for each, start in zip(self.stacks_, first, strict=True):
            each.stack.start_from(start.stack)

    def _learn_input(self, dataset: RatingsDataset, sources: list[Source]) -> np.ndarray | None:
        """Learn the ridge and the principal components; return what ridges predict of samples that they do not know."""
        X = dataset.X if isinstance(dataset.X, Features) else dataset.X.numpy()
        told = None
        consensus = dataset.ratings.consensus().reshape(len(X), -1)
        splits = [(each.train.rows, each.valid.rows) for each in sources[: self.n_members] if each.valid is not None]
        if splits:
            if isinstance(self.net.train_split, ValidationSplit) and self.net.train_split.chosen is not None:
                splits = splits[:1]
            ridge, told = fit_tuned_ridge(X, consensus, dataset.sample_weight, splits)
        else:
            ridge = fit_ridge(X, consensus, dataset.sample_weight)
        content = fit_content(X, dataset.rows)
        self.module_.learn_input(*(torch.from_numpy(each).to(self.net.device) for each in (ridge, content)))
        return told

    def _train(
        self, dataset: RatingsDataset, sources: list[Source], told: np.ndarray | None = None, *, fill: bool = False
    ) -> CommitteeNet:
        """Run the epochs; an interruption keeps the best weights so far, and is passed on."""
        watched = SimpleNamespace(max_epochs=self.net.max_epochs, verbose=self.net.verbose, history=[])
        self._notify("on_train_begin", watched)
        interruption = None
        try:
            for rows in self._epochs(self.stacks_, dataset, sources, self.net.max_epochs):
                self.history += rows
                watched.history.append(_mean_of(rows))
                self._notify("on_epoch_end", watched)
        except KeyboardInterrupt as error:
            interruption = error
        self._notify("on_train_end", watched)
        if self.history:
            if fill:
                self._fill_idle_heads(sources)
            self._weigh(dataset, sources, told)
        if interruption is not None:
            n_whole = len(watched.history)
            raise KeyboardInterrupt(
                f"training was interrupted after {n_whole} of at most {self.net.max_epochs} epochs; the best weights "
                "so far are kept, and can be used"
            ) from interruption
        return self

    def _epochs(
        self, stacks: list[TrainedStack], dataset: RatingsDataset, sources: list[Source], epochs: int
    ) -> Iterator[list[dict[str, Any]]]:
        """Train the networks on ratings, and those of the consensus on that."""
        tasks = [Task(stacks[0], sources[: self.n_members])]
        if self.n_consensus_members:
            tasks.append(Task(stacks[1], _of_consensus(dataset, sources[self.n_members :])))
        recipe = self._recipe()
        n_before = max((row["epoch"] for row in self.history), default=0)
        for rows in train_together(tasks, recipe, epochs, self.n_threads or torch.get_num_threads()):
            yield [row | {"epoch": n_before + row["epoch"]} for row in rows]

    @torch.no_grad()
    def _fill_idle_heads(self, sources: list[Source]) -> None:
        """Give annotators whom a member has not been trained on the mean of its heads: theirs have not moved."""
        heads = self.module_.members.heads
        for own, source in zip(heads, sources, strict=False):
            trained = torch.from_numpy(source.train.rated_by()).to(own.device)
            own[~trained] = own[trained].mean(0)

    def _recipe(self) -> Recipe:
        """Return how every member is trained."""
        optimizer, module = self.net.get_params_for("optimizer"), self.net.get_params_for("module")
        return Recipe(
            momentum=optimizer.get("momentum", 0.9),
            weight_decay=optimizer.get("weight_decay", 0.0),
            dropout=module.get("dropout", 0.2),
            batch_size=self.net.batch_size,
            patience=self.net.patience,
            lr_patience=self.net.lr_patience,
            device=self.net.device,
        )

    def _weigh(self, dataset: RatingsDataset, sources: list[Source], told: np.ndarray | None) -> None:
        """Bring all parts to one mean and spread on some samples, and decide what each of them counts for.

        They are samples that some networks have not been trained on, whose mean then counts, if there are any.
        """
        sizes = [n for n in (self.n_members, self.n_consensus_members) if n]
        valid = [np.empty(0, dtype=int) if each.valid is None else each.valid.rows for each in sources]
        unseen = unseen_by(valid, len(dataset.X))
        kinds = np.split(unseen, [self.n_members], axis=1)[: len(sizes)]
        rows = np.flatnonzero(np.all([each.any(axis=1) for each in kinds], axis=0))
        learned = len(rows) > 0
        if not learned:
            rows, kinds, told = dataset.rows, [np.ones_like(each) for each in kinds], None
        rows = rows[:: -(-len(rows) // MOST_SAMPLES)]
        parts = in_passes(self.module_.mean_predictions, some_of(dataset.X, rows), self.net.device)
        *networks, ridge = np.split(parts.double().numpy(), np.cumsum(sizes), axis=2)  # (n_outputs, n_rows, ...)
        means = [mean_where(each, counts[rows]) for each, counts in zip(networks, kinds, strict=True)]
        if self.ridge:
            sizes.append(1)
            means.append(ridge[:, :, 0] if told is None else told[rows].T)
        consensus = dataset.ratings.consensus().reshape(len(dataset.X), -1)[rows] if learned else None
        shares, slope, offset = standardized_shares(means, sizes, consensus)
        weights = np.repeat(shares / sizes, sizes)
        moves = (np.repeat(each[:, 1:], sizes[1:], axis=1) for each in (slope, offset))
        self.module_.weigh(*(torch.from_numpy(each).float().to(self.net.device) for each in (weights, *moves)))

    def predict_unseen(self, X: torch.Tensor, unseen: np.ndarray) -> np.ndarray:
        """Return what the networks predict of samples, on average, that have not been trained on them.

        Parameters
        ----------
        X : Tensor, shape (n_samples, n_features)
            Features.
        unseen : array of bool, shape (n_samples, n_members)
            Which network has not been trained on which sample.

        Returns
        -------
        array, shape (n_samples, n_outputs)
        """
        predicted = in_passes(self.module_.mean_predictions, X, self.net.device).double().numpy()
        return mean_where(predicted[:, :, : self.n_members], unseen).T

    def _notify(self, name: str, watched: Any) -> None:
        """Tell the callbacks."""
        for callback in self.callbacks:
            getattr(callback, name)(watched)

    def _warn_if_little_is_learned(self, sources: list[Source]) -> CommitteeNet:
        """Warn of networks that had the epochs to learn and did not, or did not come to their end."""
        valid = [source.valid for source in sources if source.valid is not None]
        if not valid or min(int(np.diff(each.ratings.indptr)[each.rows].sum()) for each in valid) < TELLING:
            return self
        members = [each for stack in self.stacks_ for each in stack.progress]
        judged = [each for each in members if each.ended or each.n_epochs >= LONG * self.net.patience]
        n_little = sum(1 - each.best < LITTLE for each in judged)
        n_open = sum(not each.ended for each in judged)
        if n_little:
            warnings.warn(
                f"{n_little} of {len(members)} networks have learned next to nothing: with the best weights the loss "
                f"of the validation ratings is less than {LITTLE:.0%} lower than that of a constant. See that the "
                f"features are on one scale, for example with StandardScaler, and that lr={self.lr} is neither too "
                "small nor too large.",
                ConvergenceWarning,
                stacklevel=4,
            )
        elif n_open:
            warnings.warn(
                f"training of {n_open} of {len(members)} networks ended at max_epochs={self.net.max_epochs} while the "
                f"validation loss was still falling. Raise max_epochs, or lr={self.lr}.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    # ------------------------------------------------------------------ state

    def __getstate__(self) -> dict[str, Any]:
        """Return how the networks are made, and arrays of all that has been learned."""
        state: dict[str, Any] = {"net": self.net, "makeup": self.makeup, "lr": self.lr}
        if not hasattr(self, "module_"):
            return state
        return state | {
            "shape": dict(self.shape_),
            "module": module_state(self.module_),
            "stacks": [{"lrs": each.lrs, "velocities": to_arrays(each.velocities)} for each in self.stacks_],
            "history": history_state(self.history),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        n_members, n_consensus_members, ridge = state["makeup"]
        self.__init__(  # type: ignore[misc]
            state["net"], n_members=n_members, n_consensus_members=n_consensus_members, ridge=ridge
        )
        self.lr = state["lr"]
        if "module" not in state:
            return
        self.net.device, self.shape_ = present_device(self.net.device), state["shape"]
        with plain_torch(), seeded(0):  # weights are drawn first
            self.initialize()
            take_weights(self.module_, state["module"], self.net.device)
        for each, moving in zip(self.stacks_, state["stacks"], strict=True):
            each.lrs, each.velocities = moving["lrs"], to_tensors(moving["velocities"], self.net.device)
        self.history = list(history_of(state["history"]))

    # ------------------------------------------------------------------ prediction

    def hidden_blocks(self, X: Any, *, block_rows: int = BLOCK_ROWS) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over what the heads see of each sample, in blocks of samples; see :meth:`MultiHeadNet.hidden_blocks`."""
        n_features = self.module_.members.shared[0].shape[1]
        yield from hidden_blocks(self.module_, X, n_features=n_features, device=self.net.device, block_rows=block_rows)


def _of_consensus(dataset: RatingsDataset, sources: list[Source]) -> list[Source]:
    """Return the same samples of a dataset with their consensus as the only annotator."""
    whole = dataset.as_consensus()
    return [
        replace(each, train=whole.take(each.train.rows), valid=each.valid and whole.take(each.valid.rows))
        for each in sources
    ]


def _mean_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an epoch's record, the mean over members."""
    names = [name for name in ("train_loss", "valid_loss", "dur") if name in rows[0]]
    return {"epoch": rows[0]["epoch"]} | {name: float(np.mean([row[name] for row in rows])) for name in names}


def _known_callbacks(net: MultiHeadNet) -> list[Callback]:
    """Return the callbacks of a net that can watch several networks; the others are refused."""
    found: list[Callback] = [PrintLog().initialize()] if net.verbose else []
    for item in net.callbacks or []:
        callback = item[1] if isinstance(item, tuple) else item
        if not isinstance(callback, EpochBar | PrintLog):
            name = getattr(callback, "__name__", type(callback).__name__)
            raise ValueError(
                f"the callback {name} watches one network, and cannot watch the several of a committee. Leave it "
                "out, or train one network: n_members=1, n_consensus_members=0, ridge=False."
            )
        found.append(callback.initialize())
    return found
