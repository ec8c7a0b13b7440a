"""Made-up results of strategies, in the shape that comparisons return."""

import numpy as np
import pandas as pd


def make_results(*, n_seeds=2, n_folds=3, sizes=(5, "all"), annotators=("ann", "bob", "cid"), seed=0):
    """Return random scores and sources of two strategies in the shape of the protocol's results."""
    rng = np.random.default_rng(seed)
    runs = [
        {"strategy": strategy, "seed": number, "fold": fold, "n_enrollment": size}
        for strategy in ("mapped", "random")
        for number in range(n_seeds)
        for fold in range(n_folds)
        for size in sizes
    ]
    rows = []
    for run in runs:
        cells = [("individual", name) for name in annotators] + [("consensus", "consensus")]
        for level, name in cells:
            served = f"s{rng.integers(3)}" if run["strategy"] == "mapped" and level == "individual" else None
            for output in ("activation", "valence"):
                ccc = rng.uniform(-1, 1)
                rows.append(run | {"level": level, "annotator": name, "output": output, "ccc": ccc, "source": served})
    return pd.DataFrame(rows)


def scores_of(strategy, ccc, **columns):
    """Return the scores of one annotator and output, one a fold."""
    table = {"strategy": strategy, "fold": range(len(ccc)), "annotator": "ann", "output": "valence", "ccc": ccc}
    return pd.DataFrame(table | columns)


def two(one, other, **columns):
    """Return scores of the strategies "one" and "other", one a fold."""
    return pd.concat([scores_of("one", one, **columns), scores_of("other", other, **columns)], ignore_index=True)


def sources_of(sources, **columns):
    """Return results in which an annotator was served by the given sources."""
    table = scores_of("mapped", [0.5] * len(sources)).assign(source=sources)
    return table.assign(**columns)
