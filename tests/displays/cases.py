"""Annotators on a plane."""

import numpy as np
import pandas as pd


def positions(n_annotators, seed=0):
    """Return a place on a plane for each of many annotators, two groups and one outlier, and their groups."""
    group = np.arange(n_annotators) % 2
    points = np.random.default_rng(seed).normal(size=(n_annotators, 2)) + 8 * group[:, None]
    points[-1], group[-1] = (-20, 20), -1
    labels = [f"annotator {index}" for index in range(n_annotators)]
    frame = pd.DataFrame(points, index=labels, columns=["component_1", "component_2"])
    return frame, pd.DataFrame({"cluster": group}, index=labels)
