"""Throw seeded odd inputs at every public door, and compare with slow plain oracles: nothing may be wrong silently.

    python benchmarks/torture.py [--inputs 20000] [--kills 200] [--seed 0] [--only DOOR]

Right: what the oracle says. Clear error: a ValueError, TypeError, OSError or NotFittedError of the package itself, or
of scikit-learn's validation, with a message. Unclear: any other error. Wrong: another result, or a valid input refused.
Hang: no answer in 20 s. The last three have to be 0, else the script exits with 1 and prints the first of them;
`--only DOOR --seed N --inputs 1` tries one again. Doors share out the inputs by what a try takes; `--kills` counts the
commands that are killed and repeated.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from _torture import files, kills, nets, scores, sounds
from _torture import tables as odd_tables
from _torture.judge import CLEAR, OUTCOMES, RIGHT, Door, Trial, outcome
from command_line import command_line
from tables import print_table

SHOWN = 5  # offending inputs of a door


class Share(NamedTuple):
    """A door, and how many of the inputs or kills it gets: one in `every`."""

    door: Door
    every: int
    kills: bool = False
    seconds: int = 20


DOORS = {
    "ratings from a table": Share(odd_tables.from_long, 5),
    "ratings from an array": Share(odd_tables.from_dense, 5),
    "ratings from rows": Share(odd_tables.from_rows, 5),
    "metrics of arrays": Share(scores.plain_scores, 10),
    "metrics of ratings": Share(scores.rated_scores, 10),
    "training": Share(nets.training, 100),
    "prediction": Share(nets.batches, 100),
    "select_annotator": Share(nets.enrolled, 50),
    "AnnotatorMapper": Share(nets.mapped, 50),
    "readers of corpora": Share(files.corpora, 5),
    "read_ratings": Share(files.table, 5),
    "sound files": Share(sounds.audio, 50),
    "cache of vectors": Share(sounds.vectors, 100),
    "killed processes": Share(kills.killed, 1, kills=True, seconds=4 * kills.PATIENCE),
}


def main() -> None:
    parser = command_line(__doc__, inputs=20_000, kills=200, seed=0)
    parser.add_argument("--only", choices=DOORS, metavar="DOOR", help=f"one of: {', '.join(DOORS)}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, offending = [], []
    for name in DOORS if options.only is None else [options.only]:
        share = DOORS[name]
        n = options.kills if share.kills else options.inputs
        counts, shown = tried(name, -(-n // (1 if options.only else share.every)), options.seed)
        rows.append({"door": name, "tried": counts.total()} | {each: counts[each] for each in OUTCOMES})
        offending += shown
    table = pd.DataFrame(rows).set_index("door")
    print_table("Odd inputs", table)
    for line in offending:
        print(line)
    bad = [each for each in OUTCOMES if each not in (RIGHT, CLEAR)]
    sys.exit(bool(table[bad].to_numpy().any()))


def tried(name: str, n: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Return how often what came of a door's inputs, and the first offending ones."""
    counts: Counter[str] = Counter()
    shown: list[str] = []
    share = DOORS[name]
    for each in range(seed, seed + n):
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            trial = Trial(each, name, Path(folder))
            what, told = outcome(share.door, trial, share.seconds)
        counts[what] += 1
        if what not in (RIGHT, CLEAR) and len(shown) < SHOWN:
            again = f"--only {name!r} --seed {each} --{'kills' if share.kills else 'inputs'} 1"
            shown.append(f"\n{name}, {what}: {again}\n  {trial.kind}\n  {told:.500}")
    return counts, shown


if __name__ == "__main__":
    main()
