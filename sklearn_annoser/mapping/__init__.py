"""From a few ratings to a head: score, choose, blend, calibrate, forecast, tune, suggest."""

from sklearn_annoser.mapping._blend import (
    Prior,
    blend_heads,
    calibrate_heads,
    count_by_output,
    learn_prior,
    tune_heads,
    within_correlation,
)
from sklearn_annoser.mapping._enroller import (
    STRATEGIES,
    Mapping,
    bootstrap_heads,
    calibrated,
    choose_heads,
    heads_without,
    map_annotators,
    predict_pairs,
    predict_rated,
    score_heads,
)
from sklearn_annoser.mapping._forecast import Forecast, forecast_scores
from sklearn_annoser.mapping._suggest import comparison_axes, representative_rows, spread_rows
from sklearn_annoser.mapping._tune import fine_tuned_heads, fine_tuned_network

__all__ = [
    "STRATEGIES",
    "Forecast",
    "Mapping",
    "Prior",
    "blend_heads",
    "bootstrap_heads",
    "calibrate_heads",
    "calibrated",
    "choose_heads",
    "comparison_axes",
    "count_by_output",
    "fine_tuned_heads",
    "fine_tuned_network",
    "forecast_scores",
    "heads_without",
    "learn_prior",
    "map_annotators",
    "predict_pairs",
    "predict_rated",
    "representative_rows",
    "score_heads",
    "spread_rows",
    "tune_heads",
    "within_correlation",
]
