import pytest

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.evaluation import compare_strategies
from tests.evaluation.made_up import make_results


@pytest.fixture(scope="session")
def small():
    return AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=25, random_state=0)


@pytest.fixture(scope="session")
def corpora():
    return make_corpora(n_samples=500, n_features=16, n_annotators=12, n_targets=6, n_types=3, random_state=0)


@pytest.fixture(scope="session")
def fitted(corpora, small):
    source, _ = corpora
    model = AnnotatorMappedRegressor(**small.get_params()).fit(source.X, source.ratings)
    aggregate = AnnotatorMappedRegressor(**small.get_params() | {"variant": "aggregate"}).fit(source.X, source.ratings)
    return model, aggregate


@pytest.fixture(scope="session")
def compared(corpora, fitted):
    """Return results of all strategies."""
    _, target = corpora
    model, aggregate = fitted
    return compare_strategies(
        model, target.X, target.ratings, aggregate=aggregate, enrollment=(5, 20), n_draws=3, random_state=0
    )


@pytest.fixture
def results():
    """Return results that are made up, of two strategies."""
    return make_results()
