"""The real corpora, where they are: see docs/development.md."""

import os
from pathlib import Path

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import read_politeness, read_speechocean762
from sklearn_annoser.evaluation import leave_one_annotator_out

FOLDER = Path(os.environ.get("SKLEARN_ANNOSER_DATA", Path(__file__).parents[2] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real corpora: {FOLDER} is not there")


def test_the_corpora_have_the_published_sizes():
    train, test = (read_speechocean762(FOLDER / "speechocean762", split=split) for split in ("train", "test"))
    assert (len(train.X), len(test.X), train.ratings.n_annotators) == (2500, 2500, 5)
    assert not set(train.groups) & set(test.groups)
    wikipedia, exchange = (
        read_politeness(FOLDER / "stanford_politeness", corpus=corpus) for corpus in ("wikipedia", "stackexchange")
    )
    assert (len(wikipedia.X), len(exchange.X)) == (4353, 6603)
    assert (wikipedia.ratings.n_annotators, exchange.ratings.n_annotators) == (219, 212)


def test_mapping_helps_a_strict_expert_and_calibration_helps_more():
    source, target = (read_speechocean762(FOLDER / "speechocean762", split=split) for split in ("train", "test"))
    target.ratings = target.ratings.keep_annotators(["expert4"])
    model = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=0.01, max_epochs=10))
    results = leave_one_annotator_out(model, source, target, enrollment=20, n_draws=5)
    mean = results.groupby("strategy")["ccc"].mean()
    assert mean["mapped"] > mean["random"] + 0.1
    assert mean["mapped"] > mean["aggregate"] + 0.05
    assert mean["mapped, calibrated"] > mean["mapped"]
