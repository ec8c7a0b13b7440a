"""Simulated corpora have the sizes asked for and the truth that they tell."""

import numpy as np
import pytest

from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.metrics import ccc_score


def test_simulated_corpora_have_the_shapes_and_people_asked_for():
    source, target = make_corpora(n_samples=50, n_features=7, n_annotators=9, n_targets=8, n_raters=3, random_state=0)
    assert source.X.shape == (50, 7)
    assert source.X.dtype == np.float32
    assert (source.ratings.n_annotators, target.ratings.n_annotators) == (9, 8)
    assert (source.ratings.counts("sample") == 3).all()
    assert source.truth.shape == (50, 9, 2)
    assert not set(source.ratings.annotators) & set(target.ratings.annotators)
    assert len(source.groups) == 50


def test_without_noise_a_rating_is_the_truth():
    source, _ = make_corpora(n_samples=40, noise=0, random_state=0)
    np.testing.assert_allclose(
        source.ratings.values, source.truth[source.ratings.rows, source.ratings.codes], rtol=1e-6
    )


def test_people_of_one_type_agree_more_than_others():
    source, target = make_corpora(n_samples=500, random_state=0)
    agreement = np.array([[ccc_score(a, b) for b in source.truth[..., 0].T] for a in source.truth[..., 0].T[:10]])
    same = source.types[:10, None] == source.types[None]
    assert agreement[same].mean() > agreement[~same].mean() + 0.3
    assert set(target.types) == set(source.types)


def test_without_disagreement_types_do_not_matter():
    source, _ = make_corpora(n_samples=500, disagreement=0, random_state=0)
    agreement = np.corrcoef(source.truth[..., 0].T)
    assert agreement.min() > 0.9


def test_one_seed_gives_the_same_corpora_twice():
    one, same, other = (make_corpora(n_samples=30, random_state=seed)[1] for seed in (0, 0, 1))
    assert one.ratings == same.ratings
    assert one.ratings != other.ratings


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="n_raters=50 must not exceed n_annotators=40"):
        make_corpora(n_raters=50)
    with pytest.raises(ValueError, match="n_samples must be >= 1"):
        make_corpora(n_samples=0)
