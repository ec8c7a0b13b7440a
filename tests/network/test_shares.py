import numpy as np
import pytest

from sklearn_annoser.network._shares import committee_shares

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(200, 2))
GOOD, BAD = TRUTH + 0.1 * RNG.normal(size=TRUTH.shape), RNG.normal(size=TRUTH.shape)


def test_all_members_count_alike_where_nothing_can_be_learned():
    np.testing.assert_allclose(committee_shares([GOOD, BAD], [3, 1]), [0.75, 0.25])
    np.testing.assert_allclose(committee_shares([GOOD, BAD], [3, 1], TRUTH, learned_share=0), [0.75, 0.25])
    np.testing.assert_allclose(committee_shares([-TRUTH, -TRUTH], [1, 1], TRUTH), [0.5, 0.5])  # none is of use


def test_half_is_learned():
    learned = committee_shares([GOOD, BAD], [1, 1], TRUTH, learned_share=1)
    assert learned[0] > 0.95
    np.testing.assert_allclose(committee_shares([GOOD, BAD], [1, 1], TRUTH, learned_share=0.5), learned / 2 + 0.25)


@pytest.mark.parametrize("learned_share", [0, 0.5, 1])
def test_shares_sum_to_one_and_none_is_negative(learned_share):
    shares = committee_shares([GOOD, BAD, -GOOD], [5, 5, 1], TRUTH, learned_share)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()


def test_means_and_missing_outputs_do_not_matter():
    gappy = np.where(RNG.uniform(size=TRUTH.shape) < 0.3, np.nan, TRUTH)
    given = np.isfinite(gappy)
    moved = [GOOD + np.array([3, -2]), np.where(given, BAD, 1e6)]
    np.testing.assert_allclose(
        committee_shares(moved, [1, 1], gappy + 5), committee_shares([GOOD, BAD], [1, 1], gappy), atol=1e-8
    )


def test_half_of_the_shares_is_learned_unless_asked_otherwise():
    rng = np.random.RandomState(0)
    consensus = rng.normal(size=(200, 1))
    predicted = [consensus + 0.1 * rng.normal(size=(200, 1)), rng.normal(size=(200, 1))]
    learned, equal = (committee_shares(predicted, [1, 1], consensus, share) for share in (1.0, 0.0))
    assert learned[0] > 0.9
    np.testing.assert_allclose(committee_shares(predicted, [1, 1], consensus), (learned + equal) / 2)
