"""The whole job of a lab: the export of a tool, clips, a model, a new listener, one file that others can load.

    python examples/lab.py [--out FOLDER]

With SKLEARN_ANNOSER_DATA, a folder with estonian_expressive_tts/, and SKLEARN_ANNOSER_MODELS, one with
whisper-tiny.en/, it works on real listeners of expressive voices; else on tones, invented listeners and a small random
encoder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorCommittee, AnnotatorMapper, SpeechEncoder
from sklearn_annoser.datasets import read_label_studio
from sklearn_annoser.metrics import ccc_score
from sklearn_annoser.reproduce import write_random_encoders
from sklearn_annoser.sharing import save


def invent(folder: Path) -> tuple[pd.DataFrame, str]:
    """Write tones; return what invented listeners say of them, from 1 to 7, and a random encoder."""
    import soundfile

    rng, time = np.random.RandomState(0), np.arange(8000) / 16000
    loud, high = rng.uniform(size=(2, 150))
    rows = []
    for clip, (level, pitch) in enumerate(zip(loud, high, strict=True)):
        path = folder / f"{clip:03d}.wav"
        soundfile.write(path, (0.05 + 0.4 * level) * np.sin(2 * np.pi * (200 + 600 * pitch) * time), 16000)
        for person in range(10):
            taste = 4 + 3 * np.cos(person) * (2 * level - 1) + 3 * np.sin(person) * (2 * pitch - 1)
            rows.append((str(path), f"P{person:02d}", int(np.clip(round(taste + rng.normal() / 2), 1, 7))))
    speech, _ = write_random_encoders(folder / "encoders")
    return pd.DataFrame(rows, columns=["audio", "who", "rating"]), speech


def find(data: str, models: str) -> tuple[pd.DataFrame, str]:
    """Return what real listeners said of expressive voices, and Whisper."""
    corpus = Path(data) / "estonian_expressive_tts"
    table = pd.read_csv(corpus / "ratings.csv", dtype={"item_id": str})
    table["audio"] = [str(corpus / "audio" / f"{item}.flac") for item in table["item_id"]]
    table = table.rename(columns={"annotator_id": "who", "suitability": "rating"})
    return table[["audio", "who", "rating"]], str(Path(models) / "whisper-tiny.en")


def write_export(table: pd.DataFrame, path: Path) -> None:
    """Write ratings as Label Studio exports them."""
    tasks = []
    for number, (clip, rows) in enumerate(table.groupby("audio", sort=False)):
        answers = [
            {
                "completed_by": {"email": row.who},
                "result": [{"from_name": "rating", "type": "rating", "value": {"rating": int(row.rating)}}],
            }
            for row in rows.itertuples()
        ]
        tasks.append({"id": number, "data": {"audio": clip}, "annotations": answers})
    path.write_text(json.dumps(tasks), encoding="utf-8")


def main() -> None:
    """Do the whole job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=None, help="folder (default: one that is gone afterwards)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        data, models = os.environ.get("SKLEARN_ANNOSER_DATA"), os.environ.get("SKLEARN_ANNOSER_MODELS")
        work(folder, *(find(data, models) if data and models else invent(folder)))


def work(folder: Path, table: pd.DataFrame, speech: str) -> None:
    """Learn all listeners but one, enrol that one with 20 ratings, keep the model, load it elsewhere."""
    new = table["who"].max()
    write_export(table[table["who"] != new], folder / "export.json")

    # 1. Out of the tool: Ratings of clips by people.
    corpus = read_label_studio(folder / "export.json", sample="audio", annotator="email", scale=(1, 7))
    print(corpus.ratings)

    # 2. From clips to people: a frozen encoder, a scaler, the recommended committee. Half of the clips are learned.
    clips = pd.DataFrame({"path": corpus.utterances["sample"]})
    order = np.random.RandomState(0).permutation(len(clips))
    learned, fresh = order[: len(order) // 2], order[len(order) // 2 :]
    encoder = SpeechEncoder(speech, cache_dir=folder / "vectors", local_files_only=True)
    committee = AnnotatorCommittee(lr=0.01, max_epochs=60, random_state=0)
    model = make_pipeline(make_column_transformer((encoder, "path")), StandardScaler(), committee)
    model.fit(clips.iloc[learned], corpus.ratings[learned])

    # 3. Somebody new rates 20 of the others, those that stand for all.
    pool = clips.iloc[fresh].reset_index(drop=True)
    asked = model[-1].suggest_enrollment(model[:-1].transform(pool), min(20, len(pool) - 5))
    theirs = table[table["who"] == new].set_index("audio")["rating"]
    said = (theirs.loc[pool["path"]].to_numpy(dtype=float) - 4) / 3  # from 1 to 7 to -1 to 1, as the model has them
    mapper = AnnotatorMapper(FrozenEstimator(model), strategy="blend", calibration="affine", random_state=0)
    mapper.fit(pool.iloc[asked], said[asked], annotators=np.repeat(new, len(asked)))
    print(mapper.mapping_[["n_ratings", "expected_rating", "low_rating", "high_rating"]].round(2))

    # 4. One file, which runs nothing when it is read; somebody else loads it.
    save(mapper, folder / "mapped.skops")
    pool.to_csv(folder / "pool.csv", index=False)
    subprocess.run([sys.executable, "-c", ELSEWHERE, new], cwd=folder, check=True)
    predicted = pd.read_csv(folder / "predicted.csv")["rating"].to_numpy()
    unseen = np.setdiff1d(np.arange(len(pool)), asked)
    print(f"CCC with the {len(unseen)} ratings not enrolled: {ccc_score(said[unseen], predicted[unseen]):.2f}")


ELSEWHERE = """
import sys
import pandas as pd
from sklearn_annoser.sharing import load
pool = pd.read_csv("pool.csv", dtype=str)
pool["rating"] = load("mapped.skops").predict(pool, annotator=sys.argv[1])
pool.to_csv("predicted.csv", index=False)
"""

if __name__ == "__main__":
    main()
