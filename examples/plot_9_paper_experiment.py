"""
The paper's experiment
======================

From corpora to the tables of the paper, on invented corpora: seeds, folds, random and mapped annotators.
"""

# %%
# With the licensed corpora one command does all of it: ``python -m sklearn_annoser reproduce``. Its parts take any
# corpora. What is trained and scored is kept in a folder; the same call goes on from there.

import tempfile

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.displays import StrategyDisplay
from sklearn_annoser.reproduce import PAPER_STRATEGIES, reproduce, summarize_levels

source, target = make_corpora(n_samples=400, random_state=0)
model = AnnotatorMappedRegressor(n_hidden=64, lr=0.05, max_epochs=15)
results = reproduce(
    source,
    {"invented": target},
    estimator=model,
    strategies={name: PAPER_STRATEGIES[name] for name in ("random", "aggregate", "mapped")},
    enrollment=(20,),
    min_ratings=10,
    seeds=(0, 1),
    out=tempfile.mkdtemp(),
)
print(results.columns.tolist())

# %%
# The CCC of individual annotators, and of the consensus.

print(summarize_levels(results, n_enrollment=20).round(3))

# %%
# Each annotator, averaged over seeds and folds.

StrategyDisplay.from_results(results[results["level"] == "individual"])
