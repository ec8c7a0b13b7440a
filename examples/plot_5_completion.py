"""
Completing a corpus
===================

Where others have rated the same sample, their ratings tell more than the model alone.
"""

# %%
# Every sample has six raters of thirty. What would the others have said?

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.metrics import ccc_score

source, target = make_corpora(n_samples=400, n_annotators=30, random_state=0)
model = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=0.01, max_epochs=40, random_state=0))
model.fit(source.X, source.ratings)

# %%
# A tenth of the target's ratings is hidden, to judge by.

rng = np.random.RandomState(0)
hidden = rng.uniform(size=target.ratings.n_ratings) < 0.1
given = target.ratings.keep_ratings(~hidden)
mapper = AnnotatorMapper(model, strategy="blend", calibration="affine", random_state=0).fit(target.X, given)
done = mapper.complete(target.X, given)

# %%
# ``done`` holds everybody's rating of everything, with intervals; what was given stays as it was.

whole = done.ratings.to_dense()
print(f"given: {given.n_ratings:,}; completed: {done.ratings.n_ratings:,}")
rows, codes = target.ratings.rows[hidden], target.ratings.codes[hidden]
true = target.ratings.values[hidden]
completed = whole[rows, codes]
model_alone = mapper.predict_annotators(target.X)[rows, codes]
for name, predicted in (("the model alone", model_alone), ("with the others' ratings", completed)):
    print(f"{name}: CCC {ccc_score(true, predicted):.2f}")

# %%
# Which missing ratings would tell most of the rest?

print(mapper.suggest_ratings(target.X, given, 3))

figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), sharex=True, sharey=True, layout="constrained")
for ax, name, predicted in zip(
    axes, ("the model alone", "with the others' ratings"), (model_alone, completed), strict=True
):
    ax.scatter(true[:, 0], predicted[:, 0], s=10, color="#0072B2", alpha=0.5, linewidths=0)
    ax.set(title=f"{name}, CCC {ccc_score(true[:, 0], predicted[:, 0]):.2f}", xlabel="hidden rating of activation")
axes[0].set_ylabel("predicted")
