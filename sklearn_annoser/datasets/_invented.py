"""Invented speech and invented people: utterances of known emotion, tones that carry it, and who hears it how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sklearn_annoser._optional import import_soundfile

RATE = 16_000
WORDS = {
    "low": ["sorry", "lost", "broken", "tired", "never", "alone", "wrong", "cold"],
    "middle": ["well", "then", "maybe", "today", "there", "about", "thing", "going"],
    "high": ["great", "thanks", "lovely", "happy", "wonderful", "yes", "bright", "warm"],
}
# How a kind of annotator hears: the weight of activation and valence in each of their own two ratings.
KINDS = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.6], [0.0, 1.0]], [[1.0, 0.0], [-0.6, 0.6]]])


class Invented:
    """Utterances whose activation and valence are known, and annotators who rate them in ways of their own."""

    def __init__(
        self, n_utterances: int, n_annotators: int, n_ratings: int, scale: tuple[int, int], random_state: Any
    ) -> None:
        self.rng = np.random.default_rng(random_state)
        self.latent = self.rng.uniform(-1, 1, size=(n_utterances, 2))  # activation and valence
        self.kind = self.rng.integers(len(KINDS), size=n_annotators)
        self.bias = self.rng.normal(0, 0.15, size=(n_annotators, 2))
        self.n_ratings = min(n_ratings, n_annotators)  # of each utterance
        self.scale = scale

    def raters(self) -> np.ndarray:
        """Return who rates an utterance."""
        return np.sort(self.rng.choice(len(self.kind), size=self.n_ratings, replace=False))

    def rate(self, utterance: int, annotator: int) -> np.ndarray:
        """Return a rating, activation and valence, whole numbers on the scale."""
        low, high = self.scale
        heard = KINDS[self.kind[annotator]] @ self.latent[utterance] + self.bias[annotator]
        heard = heard + self.rng.normal(0, 0.2, size=2)
        return np.clip(np.round((low + high) / 2 + heard * (high - low) / 2), low, high).astype(int)

    def words(self, utterance: int) -> str:
        """Return a few words that carry valence."""
        tone = "low" if self.latent[utterance, 1] < -0.33 else "high" if self.latent[utterance, 1] > 0.33 else "middle"
        return " ".join(self.rng.choice(WORDS[tone] * 2 + WORDS["middle"], size=6))

    def write_audio(self, path: Path, utterance: int) -> None:
        """Write a tone: the higher and louder the more activation, the brighter the more valence."""
        activation, valence = self.latent[utterance]
        time = np.arange(int(RATE * self.rng.uniform(0.3, 1.0))) / RATE
        pitch = 220 * 2**activation
        overtone = (valence + 1) / 2
        wave = np.sin(2 * np.pi * pitch * time) + overtone * np.sin(6 * np.pi * pitch * time)
        wave = 0.1 * 2**activation * wave + 0.005 * self.rng.normal(size=len(time))
        path.parent.mkdir(parents=True, exist_ok=True)
        import_soundfile().write(path, wave.astype(np.float32), RATE)

    def numbers(self, n: int, digits: int) -> list[str]:
        """Return different numbers of so many digits."""
        return [f"{number:0{digits}d}" for number in np.sort(self.rng.choice(10**digits - 1, size=n, replace=False))]
