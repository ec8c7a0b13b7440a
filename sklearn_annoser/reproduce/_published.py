"""The paper's published numbers, and this run beside them."""

from __future__ import annotations

import pandas as pd

__all__ = ["PUBLISHED", "compare_published"]

# Mean CCC over 25 runs, (activation, valence), by level, strategy and target corpus.
# Tavernor and Mower Provost, PMC13593162, and arXiv 2509.12295 for the idea.
PUBLISHED: dict[tuple[str, str], dict[str, tuple[float, float]]] = {
    ("consensus", "aggregate"): {"MuSE": (0.635, 0.557), "IEMOCAP": (0.636, 0.487), "MSP-Improv": (0.526, 0.471)},
    ("consensus", "mapped"): {"MuSE": (0.729, 0.618), "IEMOCAP": (0.636, 0.517), "MSP-Improv": (0.633, 0.536)},
    ("consensus", "random"): {"MuSE": (0.548, 0.525), "IEMOCAP": (0.544, 0.475), "MSP-Improv": (0.518, 0.470)},
    ("consensus", "aggregate, fine-tuned"): {
        "MuSE": (0.641, 0.651),
        "IEMOCAP": (0.697, 0.676),
        "MSP-Improv": (0.636, 0.608),
    },
    ("consensus", "mapped, fine-tuned"): {
        "MuSE": (0.784, 0.682),
        "IEMOCAP": (0.725, 0.662),
        "MSP-Improv": (0.724, 0.621),
    },
    ("individual", "aggregate"): {"MuSE": (0.233, 0.393), "IEMOCAP": (0.471, 0.403), "MSP-Improv": (0.274, 0.250)},
    ("individual", "mapped"): {"MuSE": (0.334, 0.439), "IEMOCAP": (0.524, 0.452), "MSP-Improv": (0.354, 0.276)},
    ("individual", "random"): {"MuSE": (0.197, 0.302), "IEMOCAP": (0.424, 0.368), "MSP-Improv": (0.263, 0.221)},
    ("individual", "mapped, fine-tuned"): {
        "MuSE": (0.296, 0.442),
        "IEMOCAP": (0.573, 0.573),
        "MSP-Improv": (0.364, 0.322),
    },
    ("individual", "aggregate, in domain"): {"MSP-Podcast Test1": (0.306, 0.335)},
    ("consensus", "aggregate, in domain"): {"MSP-Podcast Test1": (0.633, 0.616)},
    ("individual", "own head, in domain"): {"MSP-Podcast Test1": (0.326, 0.331)},
    ("consensus", "own head, in domain"): {"MSP-Podcast Test1": (0.668, 0.658)},
}


def compare_published(results: pd.DataFrame) -> pd.DataFrame:
    """Put this run beside the published numbers, where the target corpus has any.

    Parameters
    ----------
    results : DataFrame
        What :func:`reproduce` returned.

    Returns
    -------
    DataFrame
        Columns level, strategy, target, output, published, here, difference.
    """
    some = results[results["n_enrollment"].astype(str) == "all"]
    keys = ["level", "strategy", "target", "output"]
    runs = some.groupby([*keys, "seed", "fold"], sort=False)["ccc"].mean()
    here = runs.groupby(keys, sort=False).mean()
    rows = []
    for (level, strategy), by_target in PUBLISHED.items():
        for target, values in by_target.items():
            for output, published in zip(("activation", "valence"), values, strict=True):
                key = (level, strategy, target, output)
                if key in here.index:
                    rows.append((*key, published, here[key], here[key] - published))
    return pd.DataFrame(rows, columns=[*keys, "published", "here", "difference"])
