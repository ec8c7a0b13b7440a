"""
First steps
===========

From a table of ratings to the predictions of new annotators, and what that is worth beside the consensus.
"""

# %%
# A corpus is features, one row a sample, and ratings: a table that says who rated which sample, and how.

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorCommittee, AnnotatorMapper, Ratings
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.displays import AnnotatorDisplay
from sklearn_annoser.evaluation import draw_enrollment
from sklearn_annoser.metrics import annotator_ccc

source, target = make_corpora(n_samples=800, random_state=0)
table = source.ratings.to_long()
print(table.head(3))

# %%
# ``Ratings`` are the ``y``. The samples are named in the order of the features' rows.

ratings = Ratings.from_long(table, outputs=["activation", "valence"], samples=range(len(source.X)))
model = make_pipeline(StandardScaler(), AnnotatorCommittee(lr=0.02, max_epochs=60, random_state=0))
model.fit(source.X, ratings)

# %%
# New annotators rate 20 samples each. The mapper enrols all of them at once.

enrolled, rest = draw_enrollment(target.ratings, 20, random_state=0)
mapper = AnnotatorMapper(model, strategy="blend", calibration="affine", random_state=0)
mapper.fit(target.X, enrolled)
print(mapper.mapping_[["n_ratings", "expected_activation", "low_activation", "high_activation"]].head(3).round(2))

# %%
# How well are the ratings predicted that nobody has shown to the model? Beside it the mean of all known annotators.

scores = {
    "consensus": annotator_ccc(rest, model.predict(target.X)),
    "their own model": annotator_ccc(rest, mapper.predict_ratings(target.X, rest)),
}
for name, score in scores.items():
    print(f"{name}: activation {score['activation'].mean():.2f}, valence {score['valence'].mean():.2f}")

# %%
# One of them, as they rated and as they were predicted.

AnnotatorDisplay.from_estimator(mapper, target.X, rest, "target_003", title="target_003, predicted from 20 ratings")
