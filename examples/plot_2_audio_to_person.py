"""
From audio to a person
======================

Sound files become features by a frozen network, inside the same pipeline, and each file is embedded once.
"""

# %%
# Some tones, rough or smooth, high or deep, stand for speech, and a small random WavLM for a real one:
# ``WavLMEncoder()`` alone takes the network that the paper uses.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import soundfile
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings, WavLMEncoder
from sklearn_annoser.metrics import annotator_ccc
from sklearn_annoser.reproduce import write_random_encoders

folder = Path(tempfile.mkdtemp())
speech, _ = write_random_encoders(folder / "networks")
rng = np.random.RandomState(0)
rough, high = rng.uniform(size=(2, 160))
time = np.arange(6000) / 16_000
files = [str(folder / f"{number:03d}.wav") for number in range(160)]
for path, noise, pitch in zip(files, rough, high, strict=True):
    tone = np.sin(2 * np.pi * (200 + 600 * pitch) * time)
    soundfile.write(path, 0.2 * ((1 - noise) * tone + noise * rng.normal(size=len(time))), 16_000)

# %%
# Twelve people rate from 1 to 7. What they listen to differs from one to the next.

angles = rng.permutation(np.linspace(0, np.pi, 12))
values = 4 + 3 * np.outer(2 * rough - 1, np.cos(angles)) + 3 * np.outer(2 * high - 1, np.sin(angles))
values = np.clip(np.round(values + rng.normal(scale=0.7, size=values.shape)), 1, 7)
people = [f"listener {number}" for number in range(12)]
ratings = Ratings.from_dense(values, annotators=people, outputs=["activation"], scale=(1, 7))

# %%
# The last three are new: the model has never heard of them. They rate 20 files.

encoder = WavLMEncoder(speech, cache_dir=folder / "vectors")
regressor = AnnotatorMappedRegressor(lr=0.05, max_epochs=60, random_state=0)
model = make_pipeline(encoder, StandardScaler(), regressor).fit(files, ratings.keep_annotators(people[:9]))
new = ratings.keep_annotators(people[9:])
mapper = AnnotatorMapper(model, strategy="blend", calibration="affine", random_state=0).fit(files[:20], new[:20])

# %%
# Their own models are compared with the consensus on the other 140 files. Nothing was embedded twice.

rest = new[20:]
own = annotator_ccc(rest, mapper.predict_ratings(files[20:], rest))["activation"]
consensus = annotator_ccc(rest, model.predict(files[20:]))["activation"]
print(f"{encoder.cache_info().n_vectors} vectors of {len(files)} files")

places = np.arange(3)
plt.bar(places - 0.2, consensus, width=0.35, color="#767676", label="consensus")
plt.bar(places + 0.2, own, width=0.35, color="#0072B2", label="own model")
plt.xticks(places, people[9:])
plt.axhline(0, color="black", linewidth=0.8)
plt.ylabel("CCC on 140 files")
plt.legend(frameon=False)
plt.tight_layout()
