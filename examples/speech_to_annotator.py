"""From audio files and transcripts to a new annotator's predictions, through one pipeline with both encoders.

    python examples/speech_to_annotator.py CORPUS [--speech-model FOLDER] [--text-model FOLDER] [--cache FOLDER]

CORPUS is the folder of speechocean762: items.csv, ratings.csv and audio/<item_id>.flac. Each of its five experts in
turn is new: heads are trained for the other four on the train split; the new expert rates 20 utterances of the test
split (other speakers) and is predicted on the others. By default the models are Whisper tiny.en and MiniLM from the
Hugging Face hub; on a machine without network give folders. The second run takes the vectors from the cache.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from sklearn_annoser import AnnotatorMappedRegressor, SpeechEncoder, TextEncoder
from sklearn_annoser.datasets import read_speechocean762
from sklearn_annoser.evaluation import leave_one_annotator_out, summarize_strategies


def read_utterances(folder: Path, split: str) -> Bunch:
    """Return the utterances of a split that have audio: paths and transcripts, ratings and speakers."""
    corpus = read_speechocean762(folder, split=split)
    rows = corpus.utterances.index[corpus.utterances["has_audio"].astype(bool)]
    table = corpus.utterances.loc[rows]
    paths = [str(folder / "audio" / f"{item}.flac") for item in table["item_id"]]
    X = pd.DataFrame({"path": paths, "transcript": table["text"].to_numpy()})
    return Bunch(X=X, ratings=corpus.ratings[rows], groups=table["speaker"].to_numpy())


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("corpus", type=Path)
parser.add_argument("--speech-model", default="openai/whisper-tiny.en")
parser.add_argument("--text-model", default="sentence-transformers/all-MiniLM-L6-v2")
parser.add_argument("--cache", default="vectors")
options = parser.parse_args()

speech = SpeechEncoder(options.speech_model, layers="all", cache_dir=options.cache, verbose=1)
text = TextEncoder(options.text_model, pooling="mean", cache_dir=options.cache, verbose=1)
features = {
    "audio": make_column_transformer((speech, "path")),
    "text": make_column_transformer((text, "transcript")),
    "audio and text": make_column_transformer((speech, "path"), (text, "transcript")),
}

source, target = (read_utterances(options.corpus, split) for split in ("train", "test"))
print(f"{len(source.X)} utterances to learn from, {len(target.X)} of other speakers for the new expert\n")
results = []
for name, columns in features.items():
    model = make_pipeline(columns, StandardScaler(), AnnotatorMappedRegressor(lr=5e-3))
    scores = leave_one_annotator_out(model, source, target, enrollment=(20,), verbose=1)
    results.append(scores.assign(features=name))
table = summarize_strategies(pd.concat(results), by=["features", "strategy"])
print("\nCCC on what the new expert did not rate yet, mean over five experts and ten draws of 20 ratings\n")
print(table.round(3).to_string())
