"""Networks that train side by side are those that each trains alone."""

import numpy as np
import pytest
import torch

from sklearn_annoser import Ratings
from sklearn_annoser.network import RatingsDataset, seeded
from sklearn_annoser.network._moving_layers import MovingLayers
from sklearn_annoser.network._stack import MemberStack
from sklearn_annoser.network._stack_data import cut_batch
from sklearn_annoser.network._stack_heads import LazyHeads
from sklearn_annoser.network._stack_loop import Task, TrainedStack, train_together
from sklearn_annoser.network._stack_training import Progress, Recipe, Source
from sklearn_annoser.network._torch_state import plain_torch
from tests.network.cases import GROUPS, RATINGS, X, make_net

SEEDS = (5, 6, 7)
WEIGHT = np.random.RandomState(2).uniform(0.2, 2, size=len(X))


def gappy():
    """Ratings of which a quarter of the values lack; a fifth annotator has rated three samples."""
    values = RATINGS.to_dense()
    values[np.random.RandomState(3).uniform(size=values.shape) < 0.25] = np.nan
    rare = np.full((len(X), 1, 2), np.nan)
    rare[[3, 50, 90]] = 0.5
    return Ratings.from_dense(np.concatenate([values, rare], axis=1))


def alone(seed, ratings, sample_weight, settings):
    net = make_net(**settings)
    with seeded(seed):
        return net.fit(X, ratings, groups=GROUPS, sample_weight=sample_weight)


def together(ratings, sample_weight, settings, n_threads=1):
    """Return the stack and the records of a training of several networks."""
    net = make_net(**settings)
    dataset = RatingsDataset(X, ratings, sample_weight=sample_weight)
    train, valid = net.train_split(dataset, groups=GROUPS) if net.train_split else (dataset, None)
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    sources = [Source(each, train, valid) for each in generators]
    of_consensus = [Source(each, train.as_consensus(), None) for each in generators]
    sizes = {"n_features": X.shape[1], "n_outputs": 2, "n_hidden": 16}
    recipe = Recipe(
        momentum=0.9,
        weight_decay=settings.get("optimizer__weight_decay", 0.0),
        dropout=settings["module__dropout"],
        batch_size=net.batch_size,
        patience=net.patience,
        lr_patience=net.lr_patience,
        device="cpu",
    )

    def run(n_annotators, sources, start, epochs):
        stack = MemberStack.drawn(generators, sizes | {"n_annotators": n_annotators})
        if start is not None:
            stack.start_from(start())
        task = Task(TrainedStack("network", stack, [net.lr] * 3), sources)
        return stack, [row for rows in train_together([task], recipe, epochs, n_threads) for row in rows]

    with plain_torch(1):
        start = lambda: run(1, of_consensus, None, net.pretrain_epochs)[0]  # noqa: E731
        return run(ratings.n_annotators, sources, start if net.pretrain_epochs else None, net.max_epochs)


BASE = {"max_epochs": 5, "lr": 0.2, "module__dropout": 0.2, "batch_size": 27}
CASES = {
    "last batch smaller": (RATINGS, None, {}),
    "no pre-training": (RATINGS, None, {"pretrain_epochs": 0}),
    "ends of their own": (RATINGS, None, {"max_epochs": 40, "lr": 0.3, "patience": 3, "lr_patience": 1}),
    "no validation": (RATINGS, None, {"train_split": None}),
    "weight decay": (RATINGS, None, {"optimizer__weight_decay": 0.01, "batch_size": 8}),
    "weights": (RATINGS, WEIGHT, {}),
    "gaps and idle heads": (gappy(), None, {"batch_size": 8, "max_epochs": 2}),
    "gaps, weights and decay": (gappy(), WEIGHT, {"batch_size": 8, "max_epochs": 2, "optimizer__weight_decay": 0.01}),
    "one annotator": (RATINGS.as_consensus(), None, {}),
    "no dropout": (RATINGS, None, {"module__dropout": 0.0}),
}


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(("ratings", "sample_weight", "changes"), CASES.values(), ids=CASES)
def test_a_member_is_the_network_that_is_trained_alone(ratings, sample_weight, changes, n_threads):
    settings = BASE | changes
    stack, rows = together(ratings, sample_weight, settings, n_threads)
    lengths = []
    for member, seed in enumerate(SEEDS):
        net = alone(seed, ratings, sample_weight, settings)
        mine = [row for row in rows if row["member"] == f"network {member}"]
        lengths.append(len(mine))
        assert [row["epoch"] for row in mine] == [row["epoch"] for row in net.history]
        for name in ("train_loss", "valid_loss", "event_lr"):
            if name in mine[0] and name in net.history[0]:
                np.testing.assert_allclose([row[name] for row in mine], net.history[:, name], rtol=1e-4, atol=2e-5)
        close = {"rtol": 1e-4, "atol": 5e-5}
        np.testing.assert_allclose(stack.stacked_heads()[member], net.module_.stacked_heads(), **close)
        np.testing.assert_allclose(stack.shared[0][member].detach(), net.module_.trunk[1].weight.T.detach(), **close)
        hidden = net.module_.eval().hidden(torch.from_numpy(X))
        np.testing.assert_allclose(
            stack.hidden(torch.from_numpy(X).expand(3, -1, -1))[member].detach(), hidden.detach(), **close
        )
    assert ("patience" not in changes) == (len(set(lengths)) == 1)  # some cases end at different epochs


def test_a_member_that_has_ended_is_left_out_of_the_products(monkeypatch):
    sizes, plain = [], MovingLayers.predict
    monkeypatch.setattr(MovingLayers, "predict", lambda self, X, *rest: sizes.append(len(X)) or plain(self, X, *rest))
    together(RATINGS, None, BASE | CASES["ends of their own"][2])
    assert sizes == sorted(sizes, reverse=True)
    assert set(sizes) >= {3, 1} or set(sizes) >= {3, 2}


def test_a_batch_has_the_ratings_of_each_members_samples():
    ratings = gappy()
    dataset = RatingsDataset(X, ratings, sample_weight=WEIGHT)
    dense = ratings.to_dense()
    positions = np.array([[3, 1, 2], [50, 90, 3]])
    batch = cut_batch(dataset, dataset.rows[positions])
    for member, rows in enumerate(dataset.rows[positions]):
        np.testing.assert_array_equal(batch.X[member], X[rows])
        found = np.full((len(rows), ratings.n_annotators, 2), np.nan)
        for pair, y, weight in zip(batch.pairs[member], batch.y[member].T, batch.weight[member].T, strict=True):
            sample, head = divmod(int(pair), batch.heads.shape[1])
            for output in np.flatnonzero(weight):
                found[sample, batch.heads[member, head], output] = y[output]
                assert weight[output] == np.float32(WEIGHT[rows[sample]])
        np.testing.assert_allclose(found, dense[rows], rtol=1e-6)
        own = np.unique(batch.heads[member])
        assert len(own[own < ratings.n_annotators]) == np.isfinite(dense[rows]).any(axis=(0, 2)).sum()


def test_heads_that_are_not_read_move_on_as_under_the_dense_optimizer():
    torch.manual_seed(0)
    start, lrs, decay = torch.randn(2, 5, 3), torch.tensor([0.1, 0.5]), 0.05
    weight = torch.cat([start, torch.zeros(2, 1, 3)], dim=1)
    heads = LazyHeads(weight, torch.zeros_like(weight), momentum=0.9)
    heads.start(1.0, (lrs * decay).tolist(), 20)
    dense = [torch.nn.Parameter(each.clone()) for each in start]
    optimizers = [
        torch.optim.SGD([each], lr=float(lr), momentum=0.9, weight_decay=decay)
        for each, lr in zip(dense, lrs, strict=True)
    ]
    for step in range(20):
        read = torch.tensor([[step % 5, (step + 2) % 5], [step % 3, 5]])  # 5 is filling
        gradient = torch.randn(2, 2, 3)
        gradient[1, 1] = 0
        rows = heads.read(read)
        for member, (weight, optimizer) in enumerate(zip(dense, optimizers, strict=True)):
            own = read[member][read[member] < 5]
            np.testing.assert_allclose(rows[member, : len(own)], weight[own].detach(), rtol=1e-5, atol=1e-5)
            weight.grad = torch.zeros_like(weight).index_add(0, own, gradient[member, : len(own)])
            optimizer.step()
        heads.step(gradient * lrs[:, None, None])
    heads.finish(range(2))
    np.testing.assert_allclose(heads.weight[:, :-1], torch.stack(dense).detach(), rtol=1e-5, atol=1e-5)


def test_the_plateau_and_the_end_are_those_of_the_callbacks():
    recipe = Recipe(0.9, 0.0, 0.0, 32, patience=4, lr_patience=1, device="cpu")
    progress = Progress(1.0)
    better = [progress.record(loss, recipe) for loss in (0.5, 0.49999, 0.4, 0.41, 0.42, 0.43)]
    assert better == [True, False, True, False, False, False]
    assert progress.lr == pytest.approx(0.1)
    assert not progress.ended
    progress.record(0.4, recipe)
    assert progress.ended
    assert progress.lr == pytest.approx(0.01)
