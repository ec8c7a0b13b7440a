"""Scorers, for ``scoring=`` of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.metrics import make_scorer
from sklearn.pipeline import Pipeline

from sklearn_annoser.metrics._annotators import consensus_ccc_score, individual_ccc_score
from sklearn_annoser.metrics._ccc import ccc_score
from sklearn_annoser.ratings import Ratings

__all__ = ["ccc_scorer", "ccc_scorers", "consensus_ccc_scorer", "individual_ccc_scorer"]


@dataclass(frozen=True)
class RatingsScorer:
    """Score an estimator by a metric of ratings (-1 to 1, higher is better).

    Called with a fitted estimator, features and the truth. If the estimator (or what is inside a pipeline or a search)
    has ``predict_ratings``, each rating is predicted for its annotator, else each sample for all of its raters. For a
    plain array as the truth the score is :func:`ccc_score`.
    """

    metric: Callable[..., Any]

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        if not isinstance(y, Ratings):
            return float(ccc_score(y, estimator.predict(X)))
        return float(self.metric(y, _predict_for(estimator, X, y)))


def _predict_for(estimator: Any, X: Any, y: Any) -> Any:
    """Predict each rating of `y` if the estimator knows annotators, else each sample."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    # A search and a pipeline hide the method of the estimator inside.
    if isinstance(estimator, Pipeline) and hasattr(estimator[-1], "predict_ratings"):
        X = estimator[:-1].transform(X) if len(estimator) > 1 else X
        estimator = estimator[-1]
    return estimator.predict_ratings(X, y) if hasattr(estimator, "predict_ratings") else estimator.predict(X)


individual_ccc_scorer = RatingsScorer(individual_ccc_score)
"""Scorer by CCC_ind."""

consensus_ccc_scorer = RatingsScorer(consensus_ccc_score)
"""Scorer by CCC_con."""

ccc_scorer = make_scorer(ccc_score)
"""Scorer of ``predict(X)`` against the consensus, blind to who rated."""

ccc_scorers = {
    "ccc_individual": individual_ccc_scorer,
    "ccc_consensus": consensus_ccc_scorer,
    "ccc_rater_blind": ccc_scorer,
}
"""All three, for the `scoring=` of cross_validate."""
