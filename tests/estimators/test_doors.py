"""Bad input of the regressor: every parameter, target and call that does not fit is explained."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from tests.estimators.cases import CONSENSUS, RATINGS, X
from tests.planted import quick


@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        ("variant", "both", ValueError),
        ("n_hidden", 0, ValueError),
        ("n_hidden", 2.5, TypeError),
        ("n_tower_layers", -1, ValueError),
        ("dropout", 1.0, ValueError),
        ("lr", 0, ValueError),
        ("lr", np.nan, ValueError),
        ("lr", "auto", TypeError),
        ("momentum", 1, ValueError),
        ("weight_decay", -0.1, ValueError),
        ("batch_size", 0, ValueError),
        ("max_epochs", 0, ValueError),
        ("pretrain_epochs", -1, ValueError),
        ("early_stopping", "yes", ValueError),
        ("validation_fraction", 0, ValueError),
        ("validation_fraction", 1, ValueError),
        ("patience", 0, ValueError),
        ("lr_patience", -1, ValueError),
        ("min_ratings", 0, ValueError),
        ("on_unknown", "ignore", ValueError),
        ("device", "gpu", ValueError),
        ("device", None, ValueError),
        ("n_threads", 0, ValueError),
        ("n_threads", 1.5, TypeError),
        ("random_state", "seed", ValueError),
        ("verbose", -1, ValueError),
        ("verbose", True, TypeError),
        ("callbacks", "print", TypeError),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_bad_parameter_is_named(method, parameter, value, error):
    with pytest.raises(error, match=rf"^{parameter}\b.*{value!r}"):
        getattr(quick(**{parameter: value}), method)(X, CONSENSUS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_without_cuda_is_refused_and_auto_goes_without():
    with pytest.raises(ValueError, match="device='cuda' needs CUDA"):
        quick(device="cuda").fit(X, CONSENSUS)
    assert quick(device="auto").fit(X, CONSENSUS).net_.device == "cpu"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_annotators", "select_annotator"])
def test_features_that_are_not_finite_are_refused(model, method, bad):
    broken = X.copy()
    broken[3, 4] = bad
    targets = () if method.startswith("predict") else (CONSENSUS,)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        getattr(model, method)(broken, *targets)


@pytest.mark.parametrize(
    ("y", "fit_params", "error", "message"),
    [
        (np.r_[np.nan, np.ones(199)], {}, ValueError, "y contains NaN"),
        (["happy"] * 200, {}, TypeError, "y must be numbers, got 'happy'"),
        (np.ones(199), {}, ValueError, "inconsistent numbers of samples"),
        (RATINGS[:199], {}, ValueError, r"inconsistent numbers of samples: \[200, 199\]"),
        (RATINGS, {"annotators": ["ann"] * 200}, ValueError, "annotators must be None if y is Ratings"),
        (CONSENSUS, {"annotators": ["ann"]}, ValueError, "200 ratings, but 1 annotators"),
        (CONSENSUS, {"annotators": ["ann", None] * 100}, ValueError, "annotators must not be missing"),
        (RATINGS, {"groups": [1, 2]}, ValueError, "groups must have one label for each of 200 samples, got 2"),
        (RATINGS, {"groups": [1] * 200}, ValueError, "cannot set a validation split aside from 1 group"),
        (RATINGS.keep_ratings(np.zeros(1000, dtype=bool)), {}, ValueError, "y has no ratings"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y, fit_params, error, message):
    model = quick()
    with pytest.raises(error, match=message):
        model.fit(X, y, **fit_params)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_too_high_a_minimum_of_ratings_is_explained():
    with pytest.raises(ValueError, match="none of 12 annotators has min_ratings=1000 ratings in the training split"):
        quick(min_ratings=1000).fit(X, RATINGS)


def test_a_training_that_diverges_is_an_error():
    with pytest.raises(ValueError, match=r"training diverged.*Lower lr=1e\+20"):
        quick(lr=1e20).fit(X, RATINGS)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X),
        lambda model: model.predict_annotators(X),
        lambda model: list(model.iter_predict_annotators(X)),
        lambda model: list(model.iter_hidden(X)),
        lambda model: model.predict_ratings(X, RATINGS),
        lambda model: model.score(X, RATINGS),
        lambda model: model.select_annotator(X, CONSENSUS),
        lambda model: model.predict_distribution(X),
    ],
)
def test_an_unfitted_model_says_so(use):
    with pytest.raises(NotFittedError, match="AnnotatorMappedRegressor instance is not fitted yet"):
        use(quick())


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m: m.predict(X, annotator="bob"), ValueError, "annotator 'bob' is not in the fitted annotators"),
        (lambda m: m.predict(X, annotator=["source_000"]), ValueError, "annotator must be a single label"),
        (lambda m: m.predict_annotators(X, ["source_000", "bob"]), ValueError, "annotator 'bob' is not in the fitted"),
        (lambda m: m.predict_annotators(X, "source_000"), ValueError, "annotators must be a sequence of labels"),
        (lambda m: list(m.iter_predict_annotators(X, max_bytes=0)), ValueError, "max_bytes must be >= 1"),
        (lambda m: m.predict(X[:, :3]), ValueError, "X has 3 features"),
        (lambda m: m.predict_ratings(X, CONSENSUS), TypeError, "ratings must be Ratings, got ndarray"),
        (lambda m: m.predict_ratings(X, RATINGS[:100]), ValueError, "X and ratings differ in length"),
        (lambda m: m.predict_ratings(X[:100], RATINGS), ValueError, "X and ratings differ in length"),
        (lambda m: m.score(X, Ratings.from_rows(CONSENSUS[:, 0], "x")), ValueError, "ratings must have 2 outputs"),
        (lambda m: m.partial_fit(X, CONSENSUS[:, 0]), ValueError, "ratings must have 2 outputs"),
        (lambda m: m.predict_distribution(X, kind="density"), ValueError, "kind must be one of .*histogram.*kde"),
        (lambda m: m.predict_distribution(X, n_cells=0), ValueError, "n_cells must be >= 1"),
        (lambda m: m.predict_distribution(X, n_cells=2.0), TypeError, "n_cells must be an integer"),
        (
            lambda m: m.predict_distribution(X, edges=[0]),
            ValueError,
            r"edges must have shape \(n_cells \+ 1,\) or \(2, ",
        ),
        (lambda m: m.predict_distribution(X, edges=np.ones((3, 4))), ValueError, r"edges must have .* got \(3, 4\)"),
        (lambda m: m.predict_distribution(X, edges=[0, 1, 1]), ValueError, r"edges must increase, got \[0, 1, 1\]"),
        (lambda m: m.predict_distribution(X, edges=[0, np.inf]), ValueError, "edges must be finite"),
        (lambda m: m.predict_distribution(X, annotators=["bob"]), ValueError, "annotator 'bob' is not in the fitted"),
        (lambda m: m.predict_distribution(X, annotators="bob"), ValueError, "annotators must be a sequence of labels"),
        (lambda m: m.predict_distribution(X, annotators=[]), ValueError, "annotators must name at least one"),
        (lambda m: m.predict_distribution(X, outputs="valence"), ValueError, "outputs must be a sequence of names"),
        (
            lambda m: m.predict_distribution(X, outputs=["arousal"]),
            ValueError,
            "output 'arousal' is not in the outputs",
        ),
        (lambda m: m.predict_distribution(X, outputs=["valence"] * 2), ValueError, "one or two different names"),
        (lambda m: m.predict_distribution(X, outputs=[]), ValueError, "one or two different names"),
        (lambda m: m.predict_distribution(X[:, :3]), ValueError, "X has 3 features"),
    ],
)
def test_a_bad_call_is_explained(model, use, error, message):
    with pytest.raises(error, match=message):
        use(model)


def test_a_table_of_who_rated_what_is_told_to_become_ratings():
    rng = np.random.RandomState(0)
    table = pd.DataFrame({"sample": range(6), "annotator": list("abcabc"), "valence": rng.normal(size=6)})
    with pytest.raises(ValueError, match=r"y is a table of who rated what.*Ratings\.from_long"):
        AnnotatorMappedRegressor().fit(rng.normal(size=(6, 2)), table)
