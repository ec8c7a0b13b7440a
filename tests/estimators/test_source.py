"""Sources behind the steps of a pipeline, which may begin with anything."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_annoser import AnnotatorMapper
from sklearn_annoser.metrics import individual_ccc_scorer
from tests.planted import ENROLLED, corpora, quick

SOURCE, TARGET = corpora()
X, RATINGS = TARGET.X[ENROLLED], TARGET.ratings[ENROLLED]
TEXTS = np.array(["no", "yes", "well", "never", "gladly", "why"])[np.arange(250)[:, None] * [1, 2, 3] // 5 % 6]
TEXTS = np.array([" ".join(words) for words in TEXTS])


@pytest.mark.parametrize("convert", [list, pd.Series, np.asarray], ids=["list", "series", "array"])
def test_a_pipeline_may_start_from_texts(convert):
    dense = FunctionTransformer(sparse.csr_array.toarray, accept_sparse=True)
    texts = convert(TEXTS)
    source = make_pipeline(TfidfVectorizer(), dense, quick()).fit(texts, RATINGS)
    mapper = AnnotatorMapper(FrozenEstimator(source), random_state=0).fit(texts, RATINGS)
    gaps = RATINGS.keep_ratings(RATINGS.rows % 3 > 0)
    assert mapper.predict(texts, annotator="target_000").shape == (250, 2)
    assert len(clone(mapper).fit(texts, gaps).mapping_) == 12
    scores = cross_validate(mapper, texts, RATINGS, cv=3, scoring=individual_ccc_scorer, error_score="raise")
    assert np.isfinite(scores["test_score"]).all()


def test_a_pipeline_may_start_from_a_column_of_texts_beside_numbers():
    frame = pd.DataFrame(X).add_prefix("f").assign(text=TEXTS)
    columns = make_column_transformer(
        (CountVectorizer(), "text"), (StandardScaler(), [f"f{index}" for index in range(16)]), sparse_threshold=0
    )
    source = make_pipeline(columns, quick()).fit(frame, RATINGS)
    mapper = AnnotatorMapper(FrozenEstimator(source), random_state=0).fit(frame, RATINGS)
    assert mapper.n_features_in_ == 17
    assert mapper.predict_ratings(frame, RATINGS).n_ratings == RATINGS.n_ratings


def test_a_pipeline_may_start_from_a_sparse_matrix():
    dense = FunctionTransformer(sparse.csr_array.toarray, accept_sparse=True)
    source = make_pipeline(dense, quick()).fit(sparse.csr_array(SOURCE.X), SOURCE.ratings)
    gaps = RATINGS.keep_ratings(RATINGS.rows % 3 > 0)
    found = AnnotatorMapper(source, random_state=0).fit(sparse.csr_array(X), gaps).mapping_
    pd.testing.assert_frame_equal(found, AnnotatorMapper(source[-1], random_state=0).fit(X, gaps).mapping_)
