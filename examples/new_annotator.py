"""From a table of ratings to a new annotator's predictions, inside a scikit-learn pipeline.

    python examples/new_annotator.py

The corpora are simulated, so that the example runs anywhere; read your own table instead of `source_table`.
"""

from __future__ import annotations

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.metrics import ccc_score, ccc_scorers

source, target = make_corpora(n_samples=1000, random_state=0)
source_table = source.ratings.to_long()
print(source_table.head(3), "\n")

# The source corpus: one row a rating, samples in the order of the features' rows.
ratings = Ratings.from_long(source_table, outputs=["activation", "valence"], samples=range(len(source.X)))
model = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=0.01, random_state=0))
model.fit(source.X, ratings)

# One new annotator rates 20 samples: who is most like them?
rows, values = target.ratings.of("target_003")
X_new = model[:-1].transform(target.X[rows])
regressor = model[-1]
label = regressor.select_annotator(X_new[:20], values[:20], calibration="affine")
print(f"most like {label}, confidence {regressor.confidence_:.2f} (0.5 is luck, 1 is clear)")
print(regressor.selection_.head(3).round(2), "\n")
print(f"CCC of that head on the other {len(rows) - 20} ratings: ", end="")
print(f"{ccc_score(values[20:], regressor.predict(X_new[20:])):.2f}")

# A blend of what all heads and the ratings tell predicts better as a rule, not for everyone, and says what to expect.
regressor.select_annotator(X_new[:20], values[:20], strategy="blend", calibration="affine")
print(f"CCC of the blend: {ccc_score(values[20:], regressor.predict(X_new[20:])):.2f}; expected:")
print(regressor.expected_score_.round(2))
regressor.clear_selection()
print(f"CCC of the mean of all heads: {ccc_score(values[20:], regressor.predict(X_new[20:])):.2f}\n")

# A whole target corpus, speakers never on both sides.
mapper = AnnotatorMapper(FrozenEstimator(model), strategy="blend", calibration="affine")
scores = cross_validate(
    mapper, target.X, target.ratings, groups=target.groups, cv=GroupKFold(5), scoring=ccc_scorers, n_jobs=2
)
for name in ccc_scorers:
    print(f"{name}: {scores[f'test_{name}'].mean():.3f}")
