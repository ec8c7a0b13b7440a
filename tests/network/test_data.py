import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser import Ratings
from sklearn_annoser.network import BatchLoader, RatingsDataset, ValidationSplit, as_tensor


def make_ratings(n_samples=9, n_annotators=4, n_outputs=2, share=0.4, seed=0):
    rng = np.random.RandomState(seed)
    values = rng.uniform(-1, 1, size=(n_samples, n_annotators, n_outputs))
    values[rng.uniform(size=(n_samples, n_annotators)) > share] = np.nan
    values[2] = np.nan  # nobody rated this sample
    values[0, 1] = 0.5
    return Ratings.from_dense(values)


def make_dataset(consensus_head=False, **kwargs):
    ratings = make_ratings(**kwargs)
    X = np.random.RandomState(1).normal(size=(len(ratings), 3)).astype(np.float32)
    return RatingsDataset(X, ratings, consensus_head=consensus_head)


def plain_batch(dataset, indices):
    """Sample features, head and values of each rating of some samples, in a loop."""
    triples = []
    for row in dataset.rows[indices]:
        for each in range(dataset.ratings.indptr[row], dataset.ratings.indptr[row + 1]):
            triples.append((dataset.X[row].tolist(), dataset.ratings.codes[each], dataset.ratings.values[each]))
    return triples


def unpacked(batch):
    """Sample features, head and values of each rating of a batch."""
    n_heads = len(batch.heads)
    samples, heads = batch.X[batch.pairs // n_heads].tolist(), batch.heads[batch.pairs % n_heads].tolist()
    return list(zip(samples, heads, batch.y.numpy(), strict=True))


def assert_same_ratings(found, expected):
    assert len(found) == len(expected)
    for (x, head, values), (x_expected, head_expected, values_expected) in zip(found, expected, strict=True):
        assert (x, head) == (x_expected, head_expected)
        np.testing.assert_allclose(values, values_expected, atol=1e-6)


# ---------------------------------------------------------------------- batches


@pytest.mark.parametrize("indices", [[0], [3, 1], [7, 0, 4, 2], list(range(8))])
def test_a_batch_has_the_ratings_of_its_samples(indices):
    dataset = make_dataset()
    batch, y = dataset.__getitems__(np.array(indices))
    assert_same_ratings(unpacked(batch), plain_batch(dataset, indices))
    assert y is batch.y
    assert len(batch) == len(indices)
    assert batch.heads.tolist() == sorted(set(batch.heads.tolist()))
    assert (batch.X.dtype, batch.y.dtype) == (torch.float32, torch.float32)


def test_a_single_item_is_a_batch_of_one_sample():
    dataset = make_dataset()
    assert_same_ratings(unpacked(dataset[3][0]), plain_batch(dataset, [3]))


def test_samples_without_ratings_are_left_out():
    dataset = make_dataset()
    assert len(dataset) == 8
    assert dataset.rows.tolist() == [0, 1, 3, 4, 5, 6, 7, 8]


def test_the_consensus_follows_the_individual_ratings():
    dataset, indices = make_dataset(consensus_head=True), [5, 0, 2]
    batch, _ = dataset.__getitems__(np.array(indices))
    consensus = dataset.ratings.consensus()[dataset.rows[indices]]
    expected = [(dataset.X[row].tolist(), 4, y) for row, y in zip(dataset.rows[indices], consensus, strict=True)]
    assert_same_ratings(unpacked(batch), plain_batch(dataset, indices) + expected)
    assert [len(part) for part in batch.parts(batch.y)] == [batch.n_individual, 3]


def test_without_consensus_there_is_one_part():
    batch, _ = make_dataset().__getitems__(np.array([0, 1]))
    (part,) = batch.parts(batch.y)
    assert torch.equal(part, batch.y)


def test_a_batch_moves_whole_and_stays_where_it_is():
    batch, _ = make_dataset().__getitems__(np.array([0, 1]))
    assert batch.to("cpu") is batch
    assert batch.to(None) is batch
    moved = batch.to("meta")
    assert {getattr(moved, name).device.type for name in ("X", "heads", "pairs", "y")} == {"meta"}
    assert moved.n_individual == batch.n_individual


def test_taking_samples_shares_the_data_and_leaves_unrated_ones_out():
    dataset = make_dataset()
    part = dataset.take(np.array([4, 2, 1]))
    assert part.rows.tolist() == [1, 4]
    assert part.X is dataset.X
    assert_same_ratings(unpacked(part.__getitems__([1, 0])[0]), plain_batch(dataset, [3, 1]))
    assert len(dataset) == 8


def test_as_consensus_keeps_the_samples_and_has_one_annotator():
    part = make_dataset().take(np.array([4, 1, 2]))
    consensus = part.as_consensus()
    assert consensus.rows.tolist() == [1, 4]
    assert consensus.ratings.n_annotators == 1
    np.testing.assert_allclose(
        consensus.__getitems__([0, 1])[0].y, part.ratings.consensus()[[1, 4]], atol=1e-6, err_msg="consensus"
    )


# ---------------------------------------------------------------------- features


def test_float32_features_are_not_copied():
    X = np.ones((9, 3), dtype=np.float32)
    tensor = RatingsDataset(X, make_ratings()).X
    assert np.shares_memory(X, tensor.numpy())
    assert as_tensor(tensor).data_ptr() == tensor.data_ptr()


def test_read_only_features_are_shared_without_a_warning():
    X = np.ones((9, 3), dtype=np.float32)
    X.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.shares_memory(X, as_tensor(X).numpy())


@pytest.mark.parametrize(
    "X", [np.ones((2, 3)), np.ones((2, 3), dtype=int), [[1, 1, 1]] * 2, torch.ones(2, 3, dtype=torch.float64)]
)
def test_other_features_become_float32(X):
    assert torch.equal(as_tensor(X), torch.ones(2, 3))
    assert as_tensor(X).dtype == torch.float32


def test_features_in_another_memory_order_keep_their_values():
    X = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(as_tensor(X.T), X.T)
    np.testing.assert_array_equal(as_tensor(X[:, ::-2]), X[:, ::-2])


# ---------------------------------------------------------------------- doors


def test_y_must_be_ratings():
    with pytest.raises(TypeError, match="y must be Ratings, got list"):
        RatingsDataset(np.ones((2, 3)), [1.0, 2.0])


def test_features_and_ratings_must_have_equal_length():
    with pytest.raises(ValueError, match="X has 8 samples, but y has ratings of 9"):
        RatingsDataset(np.ones((8, 3)), make_ratings())


def test_ratings_without_any_rating_are_refused():
    with pytest.raises(ValueError, match="y has no ratings"):
        RatingsDataset(np.ones((1, 3)), make_ratings()[[2]])


# ---------------------------------------------------------------------- the loader


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 8, 100])
def test_the_loader_gives_each_sample_once(batch_size, shuffle):
    dataset = make_dataset()
    loader = BatchLoader(dataset, batch_size=batch_size, shuffle=shuffle)
    batches = [batch for batch, _ in loader]
    assert len(batches) == len(loader)
    assert all(len(batch) == min(batch_size, 8) for batch in batches[:-1])
    seen = torch.cat([batch.X for batch in batches])
    assert sorted(seen.tolist()) == sorted(dataset.X[dataset.rows].tolist())
    assert sum(len(batch.y) for batch in batches) == dataset.ratings.n_ratings


def test_the_loader_shuffles_anew_each_time_by_the_seed_of_torch():
    loader = BatchLoader(make_dataset(), batch_size=8, shuffle=True)
    torch.manual_seed(0)
    first, second = next(iter(loader))[0].X, next(iter(loader))[0].X
    torch.manual_seed(0)
    again = next(iter(loader))[0].X
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_the_dataset_works_with_the_loader_of_torch():
    dataset = make_dataset()
    loader = torch.utils.data.DataLoader(dataset, batch_size=3, collate_fn=lambda batch: batch)
    for (theirs, _), (ours, _) in zip(loader, BatchLoader(dataset, batch_size=3), strict=True):
        assert torch.equal(theirs.X, ours.X)
        assert torch.equal(theirs.y, ours.y)


# ---------------------------------------------------------------------- the split


@given(
    groups=st.lists(st.integers(0, 6), min_size=2, max_size=40).filter(lambda names: len(set(names)) > 1),
    fraction=st.floats(0.01, 1.0),
    seed=st.integers(0, 5),
)
def test_a_group_is_never_on_both_sides(groups, fraction, seed):
    train, valid = ValidationSplit(fraction, random_state=seed).rows(len(groups), groups)
    assert sorted([*train, *valid]) == list(range(len(groups)))
    train_groups, valid_groups = ({groups[row] for row in rows} for rows in (train, valid))
    assert not train_groups & valid_groups
    n_groups = len(set(groups))
    assert len(valid_groups) == min(max(int(fraction * n_groups), 1), n_groups - 1)


@pytest.mark.parametrize(("n_samples", "fraction", "n_valid"), [(100, 0.25, 25), (7, 0.25, 1), (3, 0.01, 1), (4, 1, 3)])
def test_the_share_is_rounded_down_but_neither_side_is_empty(n_samples, fraction, n_valid):
    train, valid = ValidationSplit(fraction).rows(n_samples)
    assert (len(train), len(valid)) == (n_samples - n_valid, n_valid)


def test_the_draw_depends_on_the_seed_only():
    first, again, other = (ValidationSplit(random_state=seed).rows(50)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_splitting_a_dataset_goes_by_the_positions_in_X():
    dataset, groups = make_dataset(), np.array(list("aaabbbccc"))
    rows, (train, valid) = ValidationSplit().rows(9, groups), ValidationSplit()(dataset, groups=groups)
    for part, positions in zip((train, valid), rows, strict=True):
        assert part.rows.tolist() == [row for row in positions if row != 2]


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ValueError, match="validation fraction must be > 0 and <= 1"):
        ValidationSplit(fraction).rows(10)


def test_groups_must_be_one_for_each_sample():
    with pytest.raises(ValueError, match="groups has 3 entries, but there are 4 samples"):
        ValidationSplit().rows(4, [1, 2, 3])


@pytest.mark.parametrize(("n_samples", "groups", "what"), [(1, None, "1 sample"), (3, ["a"] * 3, "1 group")])
def test_one_unit_cannot_be_split(n_samples, groups, what):
    with pytest.raises(ValueError, match=f"aside from {what}: at least 2 are needed"):
        ValidationSplit().rows(n_samples, groups)


def test_a_side_without_ratings_is_refused():
    values = np.full((4, 1), np.nan)
    values[:2] = 0.5
    dataset = RatingsDataset(np.ones((4, 2)), Ratings.from_dense(values))
    with pytest.raises(ValueError, match=r"leaves (2|0) rated samples for training and (2|0) for validation"):
        ValidationSplit()(dataset, groups=[0, 0, 1, 1])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.booleans(), st.booleans(), st.integers(0, 2**31))
def test_batches_that_are_cut_together_have_the_ratings_of_their_samples(n, n_annotators, consensus, gaps, seed):
    rng = np.random.RandomState(seed)
    values = rng.uniform(-1, 1, size=(n, n_annotators, 2)).astype(np.float32)
    values[rng.uniform(size=values.shape[:2]) < 0.4] = np.nan
    values[0, 0] = 0.5
    if gaps:
        values[rng.uniform(size=values.shape) < 0.2] = np.nan
        values[0, 0] = 0.5
    X = rng.normal(size=(n, 3)).astype(np.float32)
    ratings = Ratings.from_dense(values, annotators=list(range(n_annotators)))
    dataset = RatingsDataset(X, ratings, consensus_head=consensus)
    order = rng.permutation(len(dataset))
    parts = np.split(order, np.unique(rng.randint(1, max(len(order), 2), size=2))[: len(order) - 1])
    for positions, (batch, _) in zip(parts, dataset.batches(parts), strict=True):
        rows = dataset.rows[positions]
        np.testing.assert_array_equal(batch.X, X[rows])
        sides = [(values[rows], slice(0, batch.n_individual))]
        if consensus:
            sides.append((ratings.consensus()[rows][:, None], slice(batch.n_individual, None)))
        for dense, own in sides:
            found = np.full_like(dense, np.nan)
            heads = batch.heads[batch.pairs[own] % len(batch.heads)].numpy()
            weight = np.ones_like(batch.y[own]) if batch.weight is None else batch.weight[own].numpy()
            found[batch.samples[own], heads if dense is sides[0][0] else heads - n_annotators] = np.where(
                weight > 0, batch.y[own], np.nan
            )
            np.testing.assert_allclose(found, dense, rtol=1e-6)
        assert batch.heads.tolist() == sorted(set(batch.heads.tolist()))


def test_a_dataset_that_cuts_batches_in_its_own_way_is_asked_for_each():
    class Doubled(RatingsDataset):
        def __getitems__(self, indices):
            batch, y = super().__getitems__(indices)
            batch.X.mul_(2)
            return batch, y

    X = np.ones((9, 2), dtype=np.float32)
    loader = BatchLoader(Doubled(X, make_ratings()), batch_size=4)
    assert all((batch.X == 2).all() for batch, _ in loader)
