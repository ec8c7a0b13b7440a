"""
Labels instead of ratings
=========================

A classifier of everybody: the labels of one person, and the probabilities of each.
"""

# %%
# Everybody names one of three emotions. Where one ends and the next begins differs from person to person.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import accuracy_score

from sklearn_annoser import AnnotatorMappedClassifier, Ratings
from sklearn_annoser.datasets import make_corpora

EMOTIONS = np.array(["sad", "neutral", "glad"])
source, target = make_corpora(n_samples=800, n_features=16, n_types=3, disagreement=1.5, random_state=0)


def labels_of(ratings):
    """Name valence in three words, each person with an edge of their own."""
    edge = 0.2 + 0.15 * np.cos(np.arange(ratings.n_annotators))[ratings.codes]
    valence = ratings.values[:, 1]
    return EMOTIONS[1 + (valence > edge).astype(int) - (valence < -edge).astype(int)]


table = source.ratings.to_long().assign(emotion=labels_of(source.ratings))
labels = Ratings.from_long(table, outputs="emotion", samples=range(len(source.X)), classes=True)
model = AnnotatorMappedClassifier(n_hidden=64, lr=0.02, max_epochs=60, random_state=0).fit(source.X, labels)

# %%
# A new annotator labels 30 samples; the others are predicted as they would.

shares = {"consensus": [], "own model": []}
new = labels_of(target.ratings)
for label in target.ratings.annotators:
    mine = np.flatnonzero(target.ratings.annotators[target.ratings.codes] == label)
    X, y = target.X[target.ratings.rows[mine]], new[mine]
    model.clear_selection()
    shares["consensus"].append(accuracy_score(y[30:], model.predict(X[30:])))
    model.select_annotator(X[:30], y[:30], strategy="blend", calibration="prior")
    shares["own model"].append(accuracy_score(y[30:], model.predict(X[30:])))
for name, each in shares.items():
    print(f"{name}: {np.mean(each):.2f} of the labels")

# %%
# The probabilities are of the classes in ``classes_``.

print(dict(zip(model.classes_.tolist(), model.predict_proba(X[30:31])[0].round(2).tolist(), strict=True)))

figure, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
ax.scatter(shares["consensus"], shares["own model"], color="#0072B2")
ends = [min(map(min, shares.values())) - 0.02, max(map(max, shares.values())) + 0.02]
ax.plot(ends, ends, color="0.8", zorder=0)
ax.set(
    xlabel="predicted by the consensus, share right", ylabel="predicted by their own model", title="20 new annotators"
)
