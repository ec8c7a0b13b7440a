"""From a few ratings to a head: score, choose, combine, calibrate, forecast, suggest."""

from sklearn_annoser.mapping._calibrate import CALIBRATIONS, calibrate_heads
from sklearn_annoser.mapping._confidence import bootstrap_heads, confidences
from sklearn_annoser.mapping._enroller import Enroller, Mapping
from sklearn_annoser.mapping._forecast import Forecast, forecast_scores
from sklearn_annoser.mapping._predict import predict_heads, predict_pairs, predict_rated
from sklearn_annoser.mapping._prior import Prior, learn_prior
from sklearn_annoser.mapping._scores import score_heads
from sklearn_annoser.mapping._suggest import comparison_axes, representative_rows, spread_rows
from sklearn_annoser.mapping.strategies import STRATEGIES, blend_heads

__all__ = [
    "CALIBRATIONS",
    "STRATEGIES",
    "Enroller",
    "Forecast",
    "Mapping",
    "Prior",
    "blend_heads",
    "bootstrap_heads",
    "calibrate_heads",
    "comparison_axes",
    "confidences",
    "forecast_scores",
    "learn_prior",
    "predict_heads",
    "predict_pairs",
    "predict_rated",
    "representative_rows",
    "score_heads",
    "spread_rows",
]
