"""Labels of every kind are written as they are, and told apart."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser import displays
from sklearn_annoser.displays._style import LONGEST_LABEL, short_labels

ODD = ["$x^$", "a$b_{c$", "_hidden", "\\frac{1}{2}", "<script>", "new\nline", "\u05e9\u05dc\u05d5\u05dd", "\U0001f600"]
ODD += ["\udc80", "", "$$", "x" * 300, "%s {0}"]
ALIKE = [f"annotator of the first corpus {number:03d}, from the crowd" for number in range(5)]
KINDS = {"odd": ODD, "alike": ALIKE, "whole": [1, 2, 3], "halves": [1.5, 2.5, 3.5], "bool": [True, False]}


def results_of(labels):
    """Return results in which everything is called by these labels."""
    rng = np.random.RandomState(0)
    rows = [
        (strategy, size, draw, who, labels[(place + draw) % len(labels)], output, rng.uniform())
        for strategy in labels[:4]
        for size in (5, "all")
        for draw in range(2)
        for place, who in enumerate(labels)
        for output in labels[:2]
    ]
    columns = ["strategy", "n_enrollment", "draw", "annotator", "source", "output", "ccc"]
    return pd.DataFrame(rows, columns=columns).astype({"annotator": object, "source": object})


def texts(display):
    """Return what is written beside the rows."""
    return [label.get_text() for label in display.ax_.get_yticklabels()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_display_stands_any_label(kind, tmp_path):
    labels = KINDS[kind]
    results, n = results_of(labels), len(labels)
    matrix = pd.DataFrame(np.eye(n) / 2 + 0.5, index=labels, columns=labels)
    points = pd.DataFrame(np.random.RandomState(0).normal(size=(n, 2)), index=labels, columns=["$a_", "b"])
    outputs, title = labels[:2], str(labels[0])
    ones = np.ones((5, 2))
    drawn = [
        displays.StrategyDisplay.from_results(results, title=title),
        displays.EnrollmentDisplay.from_results(results, title=title),
        displays.AnnotatorMapDisplay.from_results(results, strategy=labels[0], title=title),
        displays.AnnotatorDisplay(points.to_numpy(), points.to_numpy(), outputs).plot(title=title),
        displays.AnnotatorSimilarityDisplay(matrix, label=title).plot(title=title),
        displays.AnnotatorEmbeddingDisplay(points).plot(title=title),
        displays.DistributionDisplay(np.full((2, 2), 0.25), np.array([[0.0, 1, 2]] * 2), ones, outputs).plot(
            title=title
        ),
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        for display in drawn:
            display.figure_.savefig(tmp_path / "picture.png", dpi=40)
    legend = [text.get_text() for text in drawn[1].figure_.legends[0].get_texts()]
    assert len(set(legend)) == len(legend) == min(n, 4)
    for display in (drawn[2], drawn[4]):
        assert len(set(texts(display))) == n
    if kind == "odd":
        assert legend == ODD[:4]
        assert {"$x^$", "_hidden", "new line", "''", "\\udc80"} < set(texts(drawn[4]))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(labels=st.lists(st.text(st.sampled_from("ab\n $_"), max_size=40), max_size=12, unique=True))
def test_no_two_short_labels_are_alike(labels):
    shorts = short_labels(labels)
    assert len(set(shorts)) == len(labels)
    assert all(0 < len(short) <= LONGEST_LABEL and short.isprintable() for short in shorts)


def test_short_labels_show_where_they_differ():
    assert short_labels(ALIKE)[1] == "annota\u2026001, from \u2026"
    assert short_labels(["short", "x" * 40]) == ["short", "xxxxxxxx\u2026xxxxxxxx"]


def test_annotators_called_true_and_false_are_not_a_mask():
    rows = [("mapped", who, source) for who in (True, False, False) for source in (True, True, False)]
    results = pd.DataFrame(rows, columns=["strategy", "annotator", "source"]).assign(output="valence")
    shares = displays.AnnotatorMapDisplay.from_results(results).shares
    assert shares.index.tolist() == [False, True]
    assert shares.columns.tolist() == [True, False]
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3]] * 2)


def test_a_source_annotator_called_others_keeps_their_column():
    rows = [("mapped", "ann", source) for source in ("others", "others", "others", "b", "b", "c", "d")]
    results = pd.DataFrame(rows, columns=["strategy", "annotator", "source"]).assign(output="valence")
    shares = displays.AnnotatorMapDisplay.from_results(results, max_sources=2).shares
    assert shares.loc["ann"].round(3).to_dict() == {"others": 0.429, "b": 0.286, "(others)": 0.286}


def test_a_strategy_without_any_score_has_its_empty_row():
    rows = [("random", "valence", "ann", 0.3), ("mapped", "valence", "ann", np.nan)]
    results = pd.DataFrame(rows, columns=["strategy", "output", "annotator", "ccc"])
    display = displays.StrategyDisplay.from_results(results)
    assert [label.get_text() for label in display.axes_[0].get_yticklabels()] == ["random", "mapped"]


def test_sizes_that_were_read_from_a_file_are_in_their_order(sized):
    display = displays.EnrollmentDisplay.from_results(
        sized.astype({"n_enrollment": str}).replace({"n_enrollment": {"20": "100"}})
    )
    assert [label.get_text() for label in display.axes_[0].get_xticklabels()] == ["5", "100", "all"]
