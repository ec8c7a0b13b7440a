"""From a few ratings to a head: score, choose, combine, calibrate, forecast, suggest."""

from sklearn_annoser.mapping._calibrate import CALIBRATIONS, calibrate_heads, rating_deviations
from sklearn_annoser.mapping._complete import Items, complete_block, expected_ratings, item_effects
from sklearn_annoser.mapping._confidence import bootstrap_heads, confidences
from sklearn_annoser.mapping._crossed import CrossedModel
from sklearn_annoser.mapping._enroller import Enroller, Mapping
from sklearn_annoser.mapping._forecast import Forecast, forecast_scores
from sklearn_annoser.mapping._known import Known
from sklearn_annoser.mapping._own_content import learn_own_content
from sklearn_annoser.mapping._persons import Persons
from sklearn_annoser.mapping._predict import predict_heads, predict_pairs, predict_rated
from sklearn_annoser.mapping._prior import Prior, learn_prior
from sklearn_annoser.mapping._scores import score_heads
from sklearn_annoser.mapping._suggest import comparison_axes, representative_rows, spread_rows
from sklearn_annoser.mapping._telling import Telling
from sklearn_annoser.mapping._thresholds import ThresholdPrior, fit_thresholds, ordered_log_proba
from sklearn_annoser.mapping.strategies import STRATEGIES, blend_heads

__all__ = [
    "CALIBRATIONS",
    "STRATEGIES",
    "CrossedModel",
    "Enroller",
    "Forecast",
    "Items",
    "Known",
    "Mapping",
    "Persons",
    "Prior",
    "Telling",
    "ThresholdPrior",
    "blend_heads",
    "bootstrap_heads",
    "calibrate_heads",
    "comparison_axes",
    "complete_block",
    "confidences",
    "expected_ratings",
    "fit_thresholds",
    "forecast_scores",
    "item_effects",
    "learn_own_content",
    "learn_prior",
    "ordered_log_proba",
    "predict_heads",
    "predict_pairs",
    "predict_rated",
    "rating_deviations",
    "representative_rows",
    "score_heads",
    "spread_rows",
]
