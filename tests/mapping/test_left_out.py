"""Leave-one-out of the blend in closed form, against blends without each rating."""

from dataclasses import replace

import numpy as np
import pytest

from sklearn_annoser.mapping import CrossedModel, Known, _crossed
from sklearn_annoser.mapping._left_out import predict_left_out
from sklearn_annoser.ratings import Ratings, centred
from tests.mapping.test_blend import make_corpus, prior_of


def planted(n_annotators, n_samples, n_ratings=6, n_content=2, **changes):
    hidden, heads, ratings = make_corpus()
    prior = replace(prior_of(hidden, ratings), n_content=n_content, **changes)
    hidden, _, new = make_corpus(n_annotators=n_annotators, n_samples=n_samples, n_ratings=n_ratings, seed=1)
    return Known(heads, prior), hidden[:, 0], new.keep_annotators(new.annotators)


def blended_again(known, hidden, ratings, doubt):
    """Predictions of each rating by a blend that has not seen it, in the order of the model."""
    predicted = []
    for place in np.argsort(ratings.codes, kind="stable"):
        others = ratings.keep_ratings(np.arange(len(ratings.codes)) != place)
        model = CrossedModel(known.axes[0], hidden, others, known.prior, 0)
        model.doubt = lambda: doubt  # as much as there was with it
        head = model.heads()[ratings.codes[place]]
        predicted.append(hidden[ratings.rows[place]] @ head[:-1] + head[-1])
    return np.array(predicted)


@pytest.mark.parametrize(("n_annotators", "n_samples"), [(1, 4000), (3, 4000), (3, 14), (5, 14)])
@pytest.mark.parametrize("n_ratings", [3, 12])
def test_it_equals_blending_again_without_each_rating(n_annotators, n_samples, n_ratings, monkeypatch):
    monkeypatch.setattr(_crossed, "NEGLIGIBLE", 0.0)
    # Annotators' means do not differ, so that nothing is left out of the prediction but a constant.
    known, hidden, ratings = planted(n_annotators, n_samples, n_ratings, offset_variance=np.full(2, 1e-12))
    model = CrossedModel(known.axes[0], hidden, ratings, known.prior, 0)
    assert (model.n_shared_items > 0) == (n_samples == 14)
    again = blended_again(known, hidden, ratings, model.doubt())
    told = predict_left_out(model)
    np.testing.assert_allclose(centred(told, model.codes), centred(again, model.codes), atol=1e-6)


@pytest.mark.parametrize("n_annotators", [1, 200])
def test_ratings_of_chance_are_hardly_predicted(n_annotators):
    known, hidden, ratings = planted(n_annotators, 3000, n_ratings=8)
    found = []
    for seed in range(200 if n_annotators == 1 else 5):
        values = np.random.RandomState(seed).normal(size=ratings.values.shape)
        model = CrossedModel(known.axes[0], hidden, ratings.with_values(values), known.prior, 0)
        true, told = (centred(each, model.codes) for each in (model.values, predict_left_out(model)))
        products = [np.bincount(model.codes, one * other) for one, other in ((true, told), (true, true), (told, told))]
        found.append(products[0] / np.sqrt(products[1] * products[2]))
    assert abs(np.mean(found)) < 0.1


def test_nobody_and_nothing_missing():
    known, hidden, ratings = planted(3, 30)
    values = ratings.to_dense()
    values[:, 1] = np.nan
    model = CrossedModel(known.axes[0], hidden, Ratings.from_dense(values), known.prior, 0)
    assert np.isfinite(predict_left_out(model)).all()
    assert len(predict_left_out(model)) == 12
