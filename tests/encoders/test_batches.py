"""Batches hold every utterance once, fill their budget, and leave to others what is theirs."""

from types import SimpleNamespace

import numpy as np
import pytest

from sklearn_annoser.encoders._batches import BATCHES_A_CLAIM, SECONDS_A_BATCH, budget_on, claim_batches, plan_batches


@pytest.mark.parametrize("budget", [0.1, 4.0, 30.0, 1e6])
def test_each_utterance_is_in_one_batch_that_is_full_and_within_the_budget_when_padded(budget):
    seconds = np.random.default_rng(0).gamma(2, 3, size=200)
    sizes = {str(i).encode(): size for i, size in enumerate(seconds)}
    batches = [[sizes[key] for key in batch] for batch in plan_batches(sizes, budget)]
    assert np.concatenate(batches).tolist() == sorted(seconds, reverse=True)
    for batch, following in zip(batches, [*batches[1:], None], strict=True):
        assert len(batch) == 1 or len(batch) * batch[0] <= budget
        assert following is None or (len(batch) + 1) * batch[0] > budget


def test_nothing_makes_no_batch():
    assert list(plan_batches({}, 1.0)) == []


@pytest.mark.parametrize(("device", "budget"), [("cpu", 4.0), ("cuda", 320.0), ("mps", 320.0)])
def test_a_gpu_has_a_budget_of_its_own(device, budget):
    assert budget_on(SimpleNamespace(type=device), SECONDS_A_BATCH) == budget


def test_what_others_have_claimed_is_left_out_and_claims_are_made_a_few_batches_ahead():
    asked = []

    class Claims:
        def claim(self, digests):
            asked.append(len(digests))
            return [each for each in digests if each[0] % 3]

    batches = [[bytes([2 * i]), bytes([2 * i + 1])] for i in range(20)]
    elsewhere = []
    ours = claim_batches(iter(batches), Claims(), elsewhere)
    assert next(ours) == [b"\x01"]
    assert asked == [2 * BATCHES_A_CLAIM]
    rest = [each for batch in ours for each in batch]
    assert sorted([b"\x01", *rest, *elsewhere]) == [bytes([i]) for i in range(40)]
    assert all(each[0] % 3 == 0 for each in elsewhere)
