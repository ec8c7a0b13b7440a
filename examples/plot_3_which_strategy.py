"""
Which strategy
==============

A tree of questions, as the benchmarks answer them, and a comparison on a corpus of one's own.
"""

# %%
# A calibrated blend was the best of those compared on real speech, text and smells, by little on speech, by much where
# many enrol together; what else there is pays in cases that are easily told.

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.displays import StrategyDisplay
from sklearn_annoser.evaluation import compare_strategies, summarize_strategies

QUESTIONS = [
    ("Have others rated the very samples\nthat you want predicted?", "mapper.complete"),
    ("Have they thousands of ratings together,\nof another kind of samples?", 'fine_tune="all"'),
    ("Is the paper's rule what you study,\nor must one known person serve?", 'strategy="joint"'),
    ("Does the forecast promise less than\nyou need (min_expected_score)?", 'fallback="consensus"'),
    ("None of these", 'strategy="blend",\ncalibration="affine"'),
]

figure, ax = plt.subplots(figsize=(7, 6.2), layout="constrained")
box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "#767676"}
for row, (question, answer) in enumerate(QUESTIONS):
    last = row == len(QUESTIONS) - 1
    ax.text(0, -row, question, ha="center", va="center", bbox=box)
    chosen = box | {"facecolor": "#D6E9F5", "edgecolor": "#0072B2"}
    ax.text(1.35, -row, answer, ha="center", va="center", family="monospace", bbox=chosen)
    ax.annotate("", (0.93, -row), (0.56, -row), arrowprops={"arrowstyle": "->", "color": "#0072B2"})
    if not last:
        ax.text(0.74, -row + 0.07, "yes", ha="center", va="bottom", color="#0072B2")
        ax.annotate("", (0, -row - 0.67), (0, -row - 0.33), arrowprops={"arrowstyle": "->", "color": "#767676"})
        ax.text(0.04, -row - 0.5, "no", va="center", color="#767676")
ax.set(xlim=(-0.62, 1.85), ylim=(-len(QUESTIONS) + 0.5, 0.5))
ax.axis("off")

# %%
# On one's own corpora: 20 ratings of each new annotator enrol, the others judge, in a few draws.

source, target = make_corpora(n_samples=400, random_state=0)
model = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=0.01, max_epochs=40, random_state=0))
model.fit(source.X, source.ratings)
results = compare_strategies(model, target.X, target.ratings, enrollment=[20], n_draws=3, random_state=0)
print(summarize_strategies(results).round(2))

# %%
# Each dot is the mean of one annotator's draws.

StrategyDisplay.from_results(results)
