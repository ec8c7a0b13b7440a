"""How far confidence is from that of all heads, by how many known heads compete and how many they are compared with.

    python benchmarks/contenders.py [--people 60] [--heads 12913]

The people and heads of mapping.py. Each number is half, as it is, and twice; the others are all there are. "Same
choice" is the share of people for whom the same head is best without a quarter of their ratings.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from command_line import command_line
from mapping import WIDTHS, make_case
from tables import print_table

from sklearn_annoser.mapping import Enroller, _confidence, _enroller, confidences


def main() -> None:
    options = command_line(__doc__, people=60, heads=12913).parse_args()
    hidden, heads, prior, ratings = make_case(*WIDTHS["one network"], options.people, options.heads)
    mapping = Enroller(heads, prior, "joint", calibration="affine").enrol(hidden, ratings)
    left_out = np.random.RandomState(1).randint(4, size=ratings.n_ratings) == 0
    as_is = {"contenders": _confidence.MOST_CONTENDERS, "judges": _confidence.MOST_JUDGES}

    def told(contenders: int, judges: int) -> tuple[np.ndarray, np.ndarray]:
        _confidence.MOST_CONTENDERS = _enroller.MOST_CONTENDERS = contenders
        _confidence.MOST_JUDGES = judges
        again = next(mapping.heads_without([left_out], np.random.RandomState(0)))
        return confidences(mapping, rng=np.random.RandomState(0)), again

    whole = told(len(heads), len(heads))
    rows = []
    for name, number in as_is.items():
        for factor in (0.5, 1, 2):
            numbers = dict.fromkeys(as_is, len(heads)) | {name: int(factor * number)}
            sure, again = told(**numbers)
            off = np.abs(sure - whole[0])
            same = np.mean((again == whole[1]).all(axis=(1, 2)))
            rows.append(
                {
                    "of": name,
                    "number": numbers[name],
                    "off, mean": off.mean(),
                    "off, most": off.max(),
                    "same choice": same,
                }
            )
    print_table(
        f"{options.people} people, {options.heads} heads", pd.DataFrame(rows).set_index(["of", "number"]), digits=4
    )


if __name__ == "__main__":
    main()
