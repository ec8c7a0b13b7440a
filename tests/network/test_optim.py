import copy
import io
import pickle

import numpy as np
import pytest
import torch

from sklearn_annoser import Ratings
from sklearn_annoser.network import (
    CCCLoss,
    LazySGD,
    MultiHeadModule,
    RatingsDataset,
    clip_gradients,
    mixture_divergence,
)
from sklearn_annoser.network._optim import IdleSteps, idle_steps

N_ROWS, N_COLUMNS, N_STEPS = 40, 3, 320
ALWAYS, NEVER = 0, 39


class Pair:
    """The same weights, a table of rows and a dense matrix, under LazySGD and under torch's dense SGD."""

    def __init__(self, seed=0, n_tables=1, **kwargs):
        torch.manual_seed(seed)
        tables = [torch.randn(N_ROWS, N_COLUMNS, dtype=torch.float64) for _ in range(n_tables)]
        matrix = torch.randn(N_COLUMNS, 2, dtype=torch.float64)
        self.lazy_tables, self.tables = ([torch.nn.Parameter(t.clone()) for t in tables] for _ in range(2))
        self.lazy_matrix, self.matrix = (torch.nn.Parameter(matrix.clone()) for _ in range(2))
        self.lazy = LazySGD([*self.lazy_tables, self.lazy_matrix], **kwargs)
        self.dense = torch.optim.SGD([*self.tables, self.matrix], **kwargs)
        self.rng = np.random.RandomState(seed)

    def draw(self):
        """Rows of one batch: one always, one never, the others by chance."""
        others = self.rng.choice(np.arange(1, N_ROWS - 1), size=self.rng.randint(0, 4), replace=False)
        return torch.from_numpy(np.append(others, ALWAYS))

    @staticmethod
    def loss(tables, matrix, batches, sparse):
        read = [torch.nn.functional.embedding(rows, t, sparse=sparse) for t, rows in zip(tables, batches, strict=True)]
        # Convex enough for rounding to stay what it is over hundreds of steps.
        return sum(torch.sin(part @ matrix).sum() / 8 + part.square().sum() for part in read) + matrix.square().sum()

    def step(self):
        batches = [self.draw() for _ in self.tables]
        for table, rows in zip(self.lazy_tables, batches, strict=True):
            self.lazy.catch_up(table, rows)
        self.lazy.zero_grad()
        lazy_loss = self.loss(self.lazy_tables, self.lazy_matrix, batches, sparse=True)
        lazy_loss.backward()
        self.lazy.step()
        self.dense.zero_grad()
        dense_loss = self.loss(self.tables, self.matrix, batches, sparse=False)
        dense_loss.backward()
        self.dense.step()
        assert lazy_loss.item() == pytest.approx(dense_loss.item(), rel=1e-10)  # the rows read were the right ones

    def run(self, n_steps=N_STEPS):
        for _ in range(n_steps):
            self.step()
        return self

    def check(self):
        self.lazy.flush()
        for lazy, dense in zip([*self.lazy_tables, self.lazy_matrix], [*self.tables, self.matrix], strict=True):
            torch.testing.assert_close(lazy.data, dense.data, rtol=1e-12, atol=1e-12)


RULES = [
    {"lr": 0.05, "momentum": 0.0},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.0, "weight_decay": 0.03},
    {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.03},
    {"lr": 0.01, "momentum": 0.99, "weight_decay": 0.001},
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_lazy_sgd_equals_the_dense_optimizer(rule):
    Pair(**rule).run().check()


def test_several_tables_are_each_updated_on_their_own():
    Pair(lr=0.05, momentum=0.9, weight_decay=0.01, n_tables=3).run().check()


@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
def test_parameter_groups_have_their_own_rules(weight_decay):
    pair = Pair(lr=0.05, momentum=0.9, n_tables=2)
    for optimizer in (pair.lazy, pair.dense):
        table = optimizer.param_groups[0]["params"].pop(0)
        optimizer.add_param_group({"params": [table], "lr": 0.2, "momentum": 0.5, "weight_decay": weight_decay})
    pair.run().check()


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_a_rule_that_is_changed_by_hand_needs_no_flush(name):
    pair = Pair(lr=0.05, momentum=0.9, weight_decay=0.01)
    for value in (0.03, 0.1, 0.01):
        pair.run(110)
        for optimizer in (pair.lazy, pair.dense):
            optimizer.param_groups[0][name] = value
    pair.run(30).check()


def test_a_learning_rate_kept_in_a_tensor_may_be_changed_in_place():
    pair = Pair(lr=0.05, momentum=0.9)
    for optimizer in (pair.lazy, pair.dense):
        optimizer.param_groups[0]["lr"] = torch.tensor(0.05, dtype=torch.float64)
    pair.run(50)
    for optimizer in (pair.lazy, pair.dense):
        optimizer.param_groups[0]["lr"].fill_(0.005)
    pair.run(50).check()


def test_a_scheduler_that_lowers_the_learning_rate_on_plateaus_needs_no_flush():
    pair = Pair(lr=0.1, momentum=0.9)
    schedulers = [
        torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        for optimizer in (pair.lazy, pair.dense)
    ]
    for _ in range(10):
        pair.run(32)
        for scheduler in schedulers:
            scheduler.step(1.0)
    assert pair.lazy.param_groups[0]["lr"] < 0.01
    pair.check()


def test_flushing_at_any_time_changes_nothing():
    pair = Pair(lr=0.05, momentum=0.9, weight_decay=0.01)
    for _ in range(30):
        pair.run(11)
        pair.check()


def test_catching_rows_up_without_a_step_changes_nothing():
    pair = Pair(lr=0.05, momentum=0.9, weight_decay=0.01)
    for _ in range(20):
        pair.run(7)
        for rows in (pair.draw(), torch.arange(N_ROWS), torch.empty(0, dtype=torch.int64), pair.draw()):
            pair.lazy.catch_up(pair.lazy_tables[0], rows)
    pair.check()


def test_rows_that_were_caught_up_need_not_all_get_a_gradient():
    pair = Pair(lr=0.05, momentum=0.9)
    for _ in range(100):
        pair.lazy.catch_up(pair.lazy_tables[0], torch.arange(N_ROWS))
        pair.step()
    pair.check()


def check_small(steps):
    """Take steps with both optimizers on a small table; in a step there are pairs of rows caught up and rows read."""
    lazy, dense = (torch.nn.Parameter(torch.ones(5, 2, dtype=torch.float64)) for _ in range(2))
    optimizers = LazySGD([lazy], lr=0.1, momentum=0.9), torch.optim.SGD([dense], lr=0.1, momentum=0.9)
    for step in steps:
        for table, optimizer in zip((lazy, dense), optimizers, strict=True):
            optimizer.zero_grad()
            for caught, read in step:
                if table is lazy:
                    optimizer.catch_up(table, caught)
                torch.nn.functional.embedding(read, table, sparse=table is lazy).square().sum().backward()
            optimizer.step()
    optimizers[0].flush()
    torch.testing.assert_close(lazy, dense, rtol=1e-12, atol=1e-12)


def test_rows_read_with_others_that_were_caught_up_equal_the_dense_ones():
    caught = torch.tensor([0, 3, 4])
    check_small([[(caught, read)] for read in (caught[:2], caught, caught[1:], caught[:1], torch.tensor([3, 0, 3]))])


def test_catch_up_brings_its_rows_and_no_others_to_the_present():
    pair = Pair(lr=0.05, momentum=0.9).run(50)
    lazy, dense = pair.lazy_tables[0], pair.tables[0]
    behind = (lazy - dense).abs().amax(1) > 1e-9
    assert behind[1:-1].any()
    rows = torch.nonzero(behind)[:2, 0]
    kept = lazy.detach().clone()
    pair.lazy.catch_up(lazy, rows)
    torch.testing.assert_close(lazy[rows], dense[rows], rtol=1e-12, atol=1e-12)
    others = np.setdiff1d(np.arange(N_ROWS), rows)
    assert torch.equal(lazy[others], kept[others])
    assert torch.equal(lazy[NEVER], kept[NEVER])


def test_a_step_writes_to_no_row_but_those_of_the_batch():
    table = torch.nn.Parameter(torch.randn(1000, 2))
    optimizer = LazySGD([table], lr=0.1, momentum=0.9, weight_decay=0.1)
    for rows in (torch.arange(0, 900), torch.tensor([3, 5])):
        before = table.detach().clone()
        optimizer.catch_up(table, rows)
        optimizer.zero_grad()
        torch.nn.functional.embedding(rows, table, sparse=True).square().sum().backward()
        optimizer.step()
        assert torch.nonzero((table != before).any(1))[:, 0].tolist() == rows.tolist()


def test_gradients_that_were_added_up_equal_the_dense_ones():
    check_small([[(rows, rows) for rows in (torch.tensor([0, 3]), torch.tensor([3, 4]))]] * 5)


def test_a_gradient_of_rows_that_were_not_caught_up_is_refused():
    table = torch.nn.Parameter(torch.ones(5, 2))
    optimizer = LazySGD([table])
    for rows in (torch.tensor([0, 1]), torch.tensor([2])):
        optimizer.catch_up(table, rows)
        optimizer.zero_grad()
        torch.nn.functional.embedding(rows, table, sparse=True).sum().backward()
        optimizer.step()
    optimizer.zero_grad()
    torch.nn.functional.embedding(torch.tensor([1]), table, sparse=True).sum().backward()
    with pytest.raises(RuntimeError, match=r"call optimizer\.catch_up\(param, rows\)"):
        optimizer.step()


def test_a_table_without_gradient_stands_still_as_under_the_dense_optimizer():
    pair = Pair(lr=0.05, momentum=0.9).run(20)
    for optimizer, matrix in ((pair.lazy, pair.lazy_matrix), (pair.dense, pair.matrix)):
        for _ in range(5):
            optimizer.zero_grad()
            matrix.square().sum().backward()
            optimizer.step()
    pair.check()


def test_step_returns_what_the_closure_returns():
    table = torch.nn.Parameter(torch.ones(4, 2))
    optimizer = LazySGD([table], lr=0.1, momentum=0.0)

    def closure():
        rows = torch.tensor([1, 2])
        optimizer.zero_grad()
        optimizer.catch_up(table, rows)
        loss = torch.nn.functional.embedding(rows, table, sparse=True).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4
    assert optimizer.step() is None  # with the gradient that is still there
    torch.testing.assert_close(table[:, 0], torch.tensor([1.0, 0.8, 0.8, 1.0]))


def test_flush_before_any_step_does_nothing():
    pair = Pair(momentum=0.9)
    pair.lazy.flush()
    pair.check()


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("way", ["state_dict", "torch.save", "pickle"])
def test_a_saved_optimizer_goes_on_as_if_nothing_had_happened(way, flushed):
    pair = Pair(lr=0.05, momentum=0.9, weight_decay=0.01).run(60)
    if flushed:
        pair.lazy.flush()
    else:
        pair.lazy.catch_up(pair.lazy_tables[0], pair.draw())
    if way == "pickle":
        pair.lazy, pair.lazy_tables, pair.lazy_matrix = pickle.loads(
            pickle.dumps((pair.lazy, pair.lazy_tables, pair.lazy_matrix))
        )
    else:
        state = pair.lazy.state_dict()
        if way == "torch.save":
            buffer = io.BytesIO()
            torch.save(state, buffer)
            buffer.seek(0)
            state = torch.load(buffer, weights_only=True)
        pair.lazy = LazySGD([*pair.lazy_tables, pair.lazy_matrix], lr=1.0)
        pair.lazy.load_state_dict(state)
    pair.run(60).check()


def test_idle_steps_are_powers_of_one_idle_step():
    lr, momentum, weight_decay = 0.1, 0.9, 0.2
    powers = IdleSteps(lr, momentum, weight_decay).up_to(50).reshape(-1, 2, 2)
    assert len(powers) > 50
    weight, velocity = 0.7, -0.3
    for power in powers:
        # Not by the matrix, but as SGD prints it: v <- m v + wd w; w <- w - lr v.
        np.testing.assert_allclose(power.numpy() @ [0.7, -0.3], [weight, velocity], atol=1e-12)
        velocity = momentum * velocity + weight_decay * weight
        weight -= lr * velocity


def test_without_weight_decay_idle_steps_have_the_closed_form():
    lr, m = 0.01, 0.9
    powers = IdleSteps(lr, m, 0.0).up_to(100).reshape(-1, 2, 2)
    for d in (0, 1, 17, 100):
        # w - lr v m (1 - m^d) / (1 - m), and v m^d
        np.testing.assert_allclose(powers[d], [[1, -lr * m * (1 - m**d) / (1 - m)], [0, m**d]], atol=1e-14)


def test_the_table_of_powers_doubles_and_keeps_what_it_has():
    steps, sizes = IdleSteps(0.1, 0.9, 0.0), []
    for n_steps in range(70):
        before = steps.table
        steps.up_to(n_steps)
        assert np.array_equal(steps.table[: len(before)], before)
        sizes.append(len(steps.table))
    assert sorted(set(sizes)) == [1, 2, 4, 8, 16, 32, 64, 128]


def test_the_table_is_as_long_as_the_steps_between_two_flushes():
    pair = Pair(lr=0.01234, momentum=0.9)
    for _ in range(30):
        pair.run(10)
        pair.check()
    assert len(idle_steps(0.01234, 0.9, 0.0).table) <= 16


# ---------------------------------------------------------------------- clipping


def gradients(rows, sparse, scale=1.0):
    """A table of which some rows are read, and a matrix, with their gradients."""
    torch.manual_seed(0)
    table, matrix, idle = (torch.nn.Parameter(torch.randn(6, 3, dtype=torch.float64)) for _ in range(3))
    read = torch.nn.functional.embedding(torch.tensor(rows), table, sparse=sparse)
    (scale * (read @ matrix.T).square().sum()).backward()
    return table, matrix, idle


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("rows", [[1, 4], [4, 1, 4, 4]])
def test_clipping_equals_that_of_torch_on_dense_gradients(rows, scale):
    lazy, dense = (gradients(rows, sparse, scale) for sparse in (True, False))
    norm, expected = clip_gradients(lazy, 1.0), torch.nn.utils.clip_grad_norm_(dense, 1.0)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-12)
    assert (norm > 1) == (scale >= 1)
    for one, other in zip(lazy[:2], dense[:2], strict=True):
        torch.testing.assert_close(one.grad.to_dense(), other.grad, rtol=1e-12, atol=1e-12)
    assert lazy[0].grad.is_sparse
    assert lazy[2].grad is None


@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
def test_training_with_variances_and_clipping_is_that_of_dense_heads(weight_decay):
    rng = np.random.RandomState(0)
    values = rng.uniform(-1, 1, size=(200, N_ROWS, 2))
    values[rng.uniform(size=(200, N_ROWS)) > 0.08] = np.nan
    dataset = RatingsDataset(rng.normal(size=(200, 5)), Ratings.from_dense(values))
    torch.manual_seed(0)
    module = MultiHeadModule(5, N_ROWS, 2, n_hidden=8, dropout=0.0, variance_heads=True).double()
    twin = copy.deepcopy(module)
    twin.sparse_heads = False
    rule = {"lr": 0.05, "momentum": 0.9, "weight_decay": weight_decay}
    lazy, dense = LazySGD(module.parameters(), **rule), torch.optim.SGD(twin.parameters(), **rule)
    norms = []
    for _ in range(100):
        batch = dataset.__getitems__(rng.choice(len(dataset), size=6, replace=False))[0]
        for name in ("X", "y"):
            object.__setattr__(batch, name, getattr(batch, name).double())
        lazy.catch_up(module.heads, batch.heads)
        for each, optimizer in ((module, lazy), (twin, dense)):
            optimizer.zero_grad()
            predicted = each(batch)
            divergence = mixture_divergence(predicted[:, :2], predicted[:, 2:], batch.y, batch.samples)
            (CCCLoss()(predicted[:, :2], batch.y) + divergence.mean()).backward()
        norms.append(clip_gradients(module.parameters(), 0.5).item())
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        lazy.step()
        dense.step()
    lazy.flush()
    assert 0.1 < np.mean(np.array(norms) > 0.5) < 0.9  # some steps are clipped, some are not
    for one, other in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
