import numpy as np
import pytest

from tests.annotators.linear import Linear


@pytest.fixture(scope="session")
def random_heads():
    """Return a model of 300 annotators, and samples."""
    rng = np.random.default_rng(0)
    return Linear(rng.normal(size=(300, 2, 7))).fit(), rng.normal(size=(200, 6)) + 1
