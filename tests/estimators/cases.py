"""What the tests of the estimators have in common: the planted corpora, and what a new annotator gave."""

from tests.planted import ENROLLED, corpora, ratings_of

SOURCE, TARGET = corpora()
X, RATINGS = SOURCE.X[:200], SOURCE.ratings[:200]
CONSENSUS = RATINGS.consensus()
VARIANTS = [
    "individual",
    "individual+consensus",
    "individual+variance",
    "individual+consensus+variance",
    "aggregate",
]
STRATEGIES = ["joint", "separate", "top-n", "all", "random"]


def enrollment(annotator="target_000", n=20):
    """Return features and values of what a new annotator rated first."""
    features, values = ratings_of(TARGET, annotator, ENROLLED)
    return features[:n], values[:n]
