import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.reproduce import reproduce

SETTINGS = {"n_folds": 3, "min_ratings": 10, "enrollment": (5, "all"), "seeds": (0, 1)}


@pytest.fixture(scope="module")
def corpora():
    return make_corpora(n_samples=300, n_features=16, n_annotators=10, n_targets=6, random_state=0)


@pytest.fixture
def estimator():
    return make_pipeline(StandardScaler(), AnnotatorMappedRegressor(n_hidden=8, lr=0.02, max_epochs=3))


@pytest.fixture
def run(corpora, estimator, tmp_path):
    """Run the experiment in a folder of the test."""
    source, target = corpora

    def run(**changes):
        names = {"targets": {"IEMOCAP": target}, "tests": {"MSP-Podcast Test1": source}, "estimator": estimator}
        return reproduce(source, **(names | SETTINGS | {"out": tmp_path / "out"} | changes))

    return run
