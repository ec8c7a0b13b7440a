"""What mapping is worth on a target corpus: protocols, significance, whether forecasts hold."""

from sklearn_annoser.evaluation._cross_corpus import cross_corpus, leave_one_annotator_out
from sklearn_annoser.evaluation._draws import compare_strategies, draw_enrollment
from sklearn_annoser.evaluation._folds import compare_folds, grouped_folds
from sklearn_annoser.evaluation._reliability import check_forecasts, coverage_table, risk_coverage
from sklearn_annoser.evaluation._scores import score_levels
from sklearn_annoser.evaluation._significance import bootstrap_interval, paired_ttest
from sklearn_annoser.evaluation._stability import mapping_stability
from sklearn_annoser.evaluation._strategies import FINE_TUNED, STRATEGIES
from sklearn_annoser.evaluation._summaries import summarize_runs, summarize_strategies

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
