"""
From a tool's export to a model
===============================

An export of Label Studio is read as it is: who said what of which sample, also what was skipped.
"""

# %%
# Such a file is what Label Studio writes as JSON; here it is written from an invented corpus.

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora, read_label_studio

source, _ = make_corpora(n_samples=300, n_annotators=12, random_state=0)
stars = np.clip(np.round(3 + 1.6 * source.ratings.values), 1, 5).astype(int)
tasks = [{"id": n, "data": {"audio": f"clip_{n:03d}.wav"}, "annotations": [], "predictions": []} for n in range(300)]
for row, code, (activation, valence) in zip(source.ratings.rows, source.ratings.codes, stars.tolist(), strict=True):
    answers = [
        {"id": name, "from_name": name, "to_name": "audio", "type": "rating", "value": {"rating": value}}
        for name, value in (("activation", activation), ("valence", valence))
    ]
    when = "2026-03-01T10:00:00.000000Z"
    about = {"id": len(tasks[row]["annotations"]), "created_at": when, "updated_at": when, "ground_truth": False}
    annotation = {"completed_by": int(code), "result": answers, "was_cancelled": False} | about
    tasks[row]["annotations"].append(annotation)
path = Path(tempfile.mkdtemp()) / "export.json"
path.write_text(json.dumps(tasks))

# %%
# One line reads it. Samples are named as the tool named them.

corpus = read_label_studio(path, sample="audio", outputs=["activation", "valence"])
ratings = corpus.ratings
print(ratings)

# %%
# The features' rows have to be in the order of the samples.

rows = [int(label[5:8]) for label in ratings.samples]
model = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=0.02, max_epochs=40, random_state=0))
model.fit(source.X[rows], ratings)

# %%
# Who is generous with stars, and who is not? The model knows, also of clips that they have not seen.

means = model[-1].predict_annotators(model[:-1].transform(source.X)).mean(axis=0)
order = means[:, 1].argsort()
plt.barh([f"rater {ratings.annotators[each]}" for each in order], means[order, 1] - means[:, 1].mean(), color="#0072B2")
plt.axvline(0, color="black", linewidth=0.8)
plt.xlabel("valence, stars above the mean of all")
plt.tight_layout()

# %%
# Somebody new, who is as generous as rater 3 and one star more, rates twenty clips; the model says the rest.

mine = np.flatnonzero(source.ratings.codes == 3)[:20]
X_new = model[:-1].transform(source.X[source.ratings.rows[mine]])
model[-1].select_annotator(X_new, np.minimum(stars[mine] + 1, 5), strategy="blend", calibration="affine")
print("mean stars of all clips:", model.predict(source.X).mean(axis=0).round(1))
