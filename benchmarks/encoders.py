"""Time the encoders against transformers used one by one, and batched in arrival order.

    python benchmarks/encoders.py [--whisper FOLDER] [--minilm FOLDER] [--rounds 3]

Audio: every 25th utterance of speechocean762 that has audio, decoded from its files. WavLM has the size of base and
random weights (the arithmetic is the same); Whisper tiny.en and MiniLM are real, from FOLDER or from the hub. "One by
one" and "batched in arrival order" are what one writes with transformers: feature extractor with padding, model, mean
over the frames that are not padding; for text the feature-extraction pipeline, which takes no audio. Whisper's feature
extractor pads to 30 seconds. Everything runs in one process on one thread; rounds take turns. Seconds are those of the
CPU, so that other programs on the machine count little. "Off" is the largest difference to the vectors of "one by one".
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch
import transformers
from command_line import command_line
from data import data_folder
from tables import print_table
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from sklearn_annoser import SpeechEncoder, TextEncoder

BATCH = 8


def chunks(items: list[Any], size: int) -> list[list[Any]]:
    """Return lists of at most `size` items in the order of arrival."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def masked_mean(hidden: torch.Tensor, n_frames: list[int]) -> np.ndarray:
    """Return the mean over the frames of each utterance."""
    return torch.stack([frames[:n].mean(0) for frames, n in zip(hidden, n_frames, strict=True)]).numpy()


def plain_speech(folder: str, size: int) -> Callable[[list[str]], np.ndarray]:
    """Return a function that embeds files in batches of `size`, as one writes it with transformers."""
    whisper = transformers.AutoConfig.from_pretrained(folder).model_type == "whisper"
    if whisper:
        extractor, kind = transformers.WhisperFeatureExtractor(), WhisperEncoder
    else:
        extractor, kind = transformers.AutoFeatureExtractor.from_pretrained(folder), transformers.AutoModel
    model = kind.from_pretrained(folder).eval()

    @torch.inference_mode()
    def embed(paths: list[str]) -> np.ndarray:
        rows = []
        for batch in chunks(paths, size):
            waves = [soundfile.read(path, dtype="float32")[0] for path in batch]
            if whisper:
                inputs = extractor(waves, sampling_rate=16_000, return_tensors="pt")
                hidden = model(inputs.input_features).last_hidden_state
                n_frames = [-(-len(wave) // 320) for wave in waves]
            else:
                inputs = extractor(
                    waves, sampling_rate=16_000, return_tensors="pt", padding=True, return_attention_mask=True
                )
                hidden = model(inputs.input_values, attention_mask=inputs.attention_mask).last_hidden_state
                n_frames = model._get_feat_extract_output_lengths(inputs.attention_mask.sum(1)).tolist()
            rows.append(masked_mean(hidden, n_frames))
        return np.concatenate(rows)

    return embed


def plain_text(folder: str, size: int) -> Callable[[list[str]], np.ndarray]:
    """Return a function that embeds texts by transformers' feature-extraction pipeline."""
    pipe = transformers.pipeline("feature-extraction", model=folder, tokenizer=folder, device="cpu")
    options = {"truncation": True, "max_length": 512}

    def embed(texts: list[str]) -> np.ndarray:
        n_tokens = [len(ids) for ids in pipe.tokenizer(texts, **options)["input_ids"]]
        outputs = pipe(texts, batch_size=size, return_tensors=True, tokenize_kwargs=options)
        return np.concatenate([masked_mean(out, [n]) for out, n in zip(outputs, n_tokens, strict=True)])

    return embed


def compare(
    candidates: dict[str, Callable[[list[str]], np.ndarray]], items: list[str], amount: float, unit: str, rounds: int
) -> pd.DataFrame:
    """Return how fast candidates are, as the median over rounds, and how far off the first."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    vectors = {}
    for round_ in range(rounds + 1):
        for name, embed in candidates.items():
            start = time.process_time()
            vectors[name] = embed(items)
            if round_:  # the first warms up
                seconds[name].append(time.process_time() - start)
    times = pd.DataFrame(seconds)
    batched = times["batched in arrival order"]
    reference = vectors["one by one"]
    table = pd.DataFrame(
        {
            unit: amount / times.median(),
            "ratio to batched": times.rdiv(batched, axis=0).median(),
            "lowest": times.rdiv(batched, axis=0).min(),
            "highest": times.rdiv(batched, axis=0).max(),
            "off": {name: f"{np.abs(each - reference).max():.0e}" for name, each in vectors.items()},
        }
    )
    return table.rename_axis("candidate")


def random_wavlm(folder: Path) -> str:
    """Save a WavLM of the size of base, with random weights."""
    torch.manual_seed(0)
    transformers.WavLMModel(transformers.WavLMConfig()).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return str(folder)


def cpu_has(instructions: str) -> bool:
    """Tell whether the CPU has a set of instructions."""
    return bool(torch.cpu.get_capabilities().get(instructions))


def prepared(description: str | None) -> Namespace:
    """Return what the command line says, with torch on one thread and transformers silent."""
    parser = command_line(description, rounds=3)
    parser.add_argument("--whisper", default="openai/whisper-tiny.en")
    parser.add_argument("--minilm", default="sentence-transformers/all-MiniLM-L6-v2")
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return parser.parse_args()


def main() -> None:
    options = prepared(__doc__)
    sets = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if cpu_has(name)]
    print(f"{platform.machine()}, {', '.join(sets) or 'no AVX2'}; torch {torch.__version__}")

    root = data_folder() / "speechocean762"
    items = pd.read_csv(root / "items.csv", dtype={"item_id": str})
    files = [str(root / "audio" / f"{item}.flac") for item in items.loc[items["has_audio"].astype(bool), "item_id"]]
    files = files[::25]
    seconds = sum(soundfile.info(path).duration for path in files)
    with tempfile.TemporaryDirectory() as folder:
        models = {"WavLM base, random weights": random_wavlm(Path(folder)), "Whisper tiny.en": options.whisper}
        for title, name in models.items():
            encoder = SpeechEncoder(name).fit(files)
            half = SpeechEncoder(name, dtype="bfloat16").fit(files)
            candidates = {
                "package": encoder.transform,
                "package, bfloat16": half.transform,
                "one by one": plain_speech(name, 1),
                "batched in arrival order": plain_speech(name, BATCH),
            }
            table = compare(candidates, files, seconds, "audio seconds a second", options.rounds)
            print_table(f"{title}: {len(files)} utterances, {seconds:.0f} s", table, digits=2)

    texts = pd.read_csv(data_folder() / "stanford_politeness" / "items.csv")["text"].tolist()[::20]
    encoder = TextEncoder(options.minilm, pooling="mean").fit(texts)
    half = TextEncoder(options.minilm, pooling="mean", dtype="bfloat16").fit(texts)
    candidates = {
        "package": encoder.transform,
        "package, bfloat16": half.transform,
        "one by one": plain_text(options.minilm, 1),
        "batched in arrival order": plain_text(options.minilm, 32),
    }
    table = compare(candidates, texts, len(texts), "texts a second", options.rounds)
    print_table(f"MiniLM: {len(texts)} texts", table, digits=2)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    main()
