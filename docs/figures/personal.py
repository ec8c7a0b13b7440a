"""Draw the picture of the README: what the consensus and what a person's own model predict of what they said.

python docs/figures/personal.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorCommittee, AnnotatorMapper
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.evaluation import draw_enrollment
from sklearn_annoser.metrics import annotator_ccc, ccc_score

mpl.use("Agg")
import matplotlib.pyplot as plt

N_ENROLLED = 20
GREY, BLUE = "#767676", "#0072B2"


def main() -> None:
    """Train, enrol everybody with 20 ratings, show one person of those who gain more than most, and all."""
    source, target = make_corpora(n_samples=1000, random_state=0)
    model = make_pipeline(StandardScaler(), AnnotatorCommittee(lr=0.01, random_state=0)).fit(source.X, source.ratings)
    enrolled, rest = draw_enrollment(target.ratings, N_ENROLLED, random_state=0)
    mapper = AnnotatorMapper(model, strategy="blend", calibration="affine", random_state=0).fit(target.X, enrolled)

    personal = mapper.predict_ratings(target.X, rest)
    aggregate = rest.with_values(model.predict(target.X)[rest.rows])
    scores = [np.asarray(annotator_ccc(rest, each))[:, 0] for each in (aggregate, personal)]
    order = np.argsort(scores[1])
    gain = scores[1] - scores[0]
    one = np.argsort(gain)[len(gain) * 2 // 3]

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.6, 3.4), layout="constrained")
    mine = rest.codes == one
    true = rest.values[mine, 0]
    for ax, name, each, colour in (
        (left, "The consensus", aggregate, GREY),
        (middle, "Their own model", personal, BLUE),
    ):
        predicted = each.values[mine, 0]
        ax.plot([-2.2, 2.2], [-2.2, 2.2], color="0.8", zorder=0)
        ax.scatter(true, predicted, s=14, color=colour, alpha=0.6, linewidths=0)
        ax.set(xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), xlabel="what one person said", ylabel="predicted", aspect="equal")
        ax.set_title(f"{name}: CCC {ccc_score(true, predicted):.2f}", fontsize=10)
    places = np.arange(len(order))
    right.hlines(places, scores[0][order], scores[1][order], color="0.8", zorder=0)
    right.scatter(scores[0][order], places, s=22, color=GREY, label="consensus")
    right.scatter(scores[1][order], places, s=22, color=BLUE, marker="s", label="own model")
    right.set(yticks=[], xlabel="CCC of unseen ratings", ylabel=f"{len(order)} people")
    right.set_title("Everybody, with 20 ratings each", fontsize=10)
    right.legend(frameon=False, fontsize=9, loc="lower right")
    for ax in (left, middle, right):
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)
    print(f"mean CCC of {len(order)} people: consensus {scores[0].mean():.2f}, own model {scores[1].mean():.2f}")


if __name__ == "__main__":
    main()
