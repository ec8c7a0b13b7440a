"""
When not to map
===============

What to expect of each new annotator, told by their 20 ratings, and a way out where it is too little.
"""

# %%
# Half of the new annotators rate as people do; the others press a button at random. Nobody is told which is which.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.evaluation import draw_enrollment
from sklearn_annoser.metrics import annotator_ccc

source, target = make_corpora(n_samples=500, random_state=0)
rng = np.random.RandomState(0)
careless = target.ratings.codes % 2 == 1
values = target.ratings.values.copy()
values[careless] = rng.uniform(-1, 1, size=(careless.sum(), 2))
ratings = target.ratings.with_values(values)

model = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=0.01, max_epochs=40, random_state=0))
model.fit(source.X, source.ratings)
enrolled, rest = draw_enrollment(ratings, 20, random_state=0)

# %%
# ``min_expected_score`` leaves to the consensus (or, with ``fallback="nan"``, to nobody) who is expected to be
# predicted worse.

mapper = AnnotatorMapper(
    model, strategy="blend", calibration="affine", min_expected_score=0.2, fallback="consensus", random_state=0
)
table = mapper.fit(target.X, enrolled).mapping_
table["careless"] = np.arange(len(table)) % 2 == 1
print(table.groupby("careless")["trusted"].agg(["sum", "count"]))

# %%
# The forecast beside what came of it on the other ratings. An interval holds four of five, if it is honest.

alone = AnnotatorMapper(model, strategy="blend", calibration="affine", random_state=0).fit(target.X, enrolled)
outputs = list(rest.outputs)
reached = annotator_ccc(rest, alone.predict_ratings(target.X, rest))[outputs].to_numpy()
expected, low, high = (table[[f"{kind}_{name}" for name in outputs]].to_numpy() for kind in ("expected", "low", "high"))
print(f"{np.mean((low <= reached) & (reached <= high)):.0%} lie within their interval")

# %%
# Who is trusted hangs on the mean over the outputs.

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
for is_careless, colour, marker, name in ((False, "#0072B2", "o", "rate"), (True, "#D55E00", "s", "press buttons")):
    own = table["careless"].to_numpy() == is_careless
    ax.plot(reached[own].mean(axis=1), expected[own].mean(axis=1), marker, color=colour, label=name)
ax.plot([-0.2, 0.8], [-0.2, 0.8], color="0.8", zorder=0)
ax.axhline(0.2, color="#767676", linestyle=":", label="min_expected_score")
ax.set(xlabel="CCC on the other ratings, mean of both outputs", ylabel="CCC that was expected")
ax.legend(frameon=False)
