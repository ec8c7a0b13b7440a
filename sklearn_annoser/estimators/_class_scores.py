"""How well logits explain labels: what ranks the heads of a classifier, and what moves the biases of one."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

SCORINGS = ("log_likelihood", "kappa", "f1_macro")
PRIOR_LABELS = 10  # the number of labels that the predicted frequencies are worth


def score_labels(logits: np.ndarray, codes: np.ndarray, scoring: str, *, ordered: bool = False) -> np.ndarray:
    """Return how well every annotator's logits, (n_samples, n_annotators, n_classes), explain labels."""
    if not len(codes):
        return np.zeros(logits.shape[1])  # nothing has been told
    if scoring == "log_likelihood":
        return log_softmax(logits.astype(np.float64), axis=2)[np.arange(len(codes)), :, codes].mean(axis=0)
    classes = np.arange(logits.shape[2])
    said = logits.argmax(axis=2)[:, :, None] == classes  # (n_samples, n_annotators, n_classes)
    # How often which label is predicted where which is true: (n_annotators, n_classes, n_classes).
    table = np.einsum("nt,nap->atp", codes[:, None] == classes, said, dtype=np.float64)
    if scoring == "f1_macro":
        return _f1_macro(table)
    apart = (classes[:, None] - classes) / (len(classes) - 1)
    return _kappa(table, 1 - apart**2 if ordered else np.eye(len(classes)))


def _f1_macro(table: np.ndarray) -> np.ndarray:
    """Return the mean F1 of the classes of which there are some, on either side."""
    true, predicted, agreed = table.sum(axis=2), table.sum(axis=1), np.einsum("akk->ak", table)
    told = (true + predicted) > 0
    f1 = np.divide(2 * agreed, true + predicted, out=np.zeros(agreed.shape), where=told)
    return f1.sum(axis=1) / told.sum(axis=1)


def _kappa(table: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Return Cohen's kappa, where each pair of classes agrees by so much, (n_classes, n_classes)."""
    n = table[0].sum()
    by_chance = np.einsum("at,ap,tp->a", table.sum(axis=2), table.sum(axis=1), worth) / n**2
    agreed = np.einsum("atp,tp->a", table, worth) / n
    # If both sides know one label only kappa is undefined: nothing has been told.
    told = by_chance < 1 - 1e-12
    return np.divide(agreed - by_chance, 1 - by_chance, out=np.zeros(len(table)), where=told)


def bias_towards(probability: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return what to add to the biases so that predicted frequencies come nearer to those of labels, (n_classes,)."""
    predicted = np.maximum(probability.mean(axis=0), 1e-6)
    counts = np.bincount(codes, minlength=len(predicted))
    expected = (counts + PRIOR_LABELS * predicted) / (len(codes) + PRIOR_LABELS)
    return np.log(expected) - np.log(predicted)
