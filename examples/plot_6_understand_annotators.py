"""
Understanding annotators
========================

Who rates like whom, who is alone, whose ratings move, and how much they agree at all.
"""

# %%
# The annotators of this corpus are of three kinds.

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.annotators import (
    agreement_table,
    annotator_drift,
    annotator_outliers,
    cluster_annotators,
    embed_annotators,
)
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.displays import AnnotatorEmbeddingDisplay, AnnotatorSimilarityDisplay

source, _ = make_corpora(
    n_samples=800, n_features=16, n_annotators=24, n_types=3, n_raters=10, disagreement=2, random_state=0
)
ratings = source.ratings
model = AnnotatorMappedRegressor(n_hidden=32, lr=0.05, max_epochs=40, random_state=0).fit(source.X, ratings)

# %%
# Similarity is the CCC of two annotators' predictions. Three groups are found.

clusters = cluster_annotators(model, source.X, random_state=0)
print(clusters["cluster"].value_counts())
AnnotatorSimilarityDisplay.from_estimator(model, source.X, clusters=clusters)

# %%
# The same on a map, on which distances are on the scale of ratings.

coordinates, explained = embed_annotators(model, source.X)
AnnotatorEmbeddingDisplay.from_estimator(model, source.X, clusters=clusters)

# %%
# Nobody here is unlike all others, and nobody's ratings move; a few of many are always told by chance.

outliers = annotator_outliers(model, source.X)
drift = annotator_drift(ratings)
print(outliers["outlier"].sum(), "outliers")
print(drift["drifts"].sum(), "of", len(drift), "drift")

# %%
# How much they agree, without any model.

print(agreement_table(ratings, n_bootstrap=50, random_state=0).round(2))
