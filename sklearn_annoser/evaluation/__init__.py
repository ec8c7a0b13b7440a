"""What mapping is worth on a target corpus: protocols, significance, whether forecasts hold."""

from sklearn_annoser.evaluation._reliability import check_forecasts, coverage_table, risk_coverage
from sklearn_annoser.evaluation._significance import bootstrap_interval, mapping_stability, paired_ttest, summarize_runs
from sklearn_annoser.evaluation._strategies import (
    FINE_TUNED,
    STRATEGIES,
    compare_folds,
    compare_strategies,
    cross_corpus,
    draw_enrollment,
    grouped_folds,
    leave_one_annotator_out,
    score_levels,
    summarize_strategies,
)

__all__ = [
    "FINE_TUNED",
    "STRATEGIES",
    "bootstrap_interval",
    "check_forecasts",
    "compare_folds",
    "compare_strategies",
    "coverage_table",
    "cross_corpus",
    "draw_enrollment",
    "grouped_folds",
    "leave_one_annotator_out",
    "mapping_stability",
    "paired_ttest",
    "risk_coverage",
    "score_levels",
    "summarize_runs",
    "summarize_strategies",
]
