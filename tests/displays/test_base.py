"""What all displays do: axes are made or taken, columns are checked."""

import builtins

import matplotlib.pyplot as plt
import pytest

from sklearn_annoser.displays import (
    AnnotatorDisplay,
    AnnotatorMapDisplay,
    AnnotatorSimilarityDisplay,
    EnrollmentDisplay,
    StrategyDisplay,
)


def test_own_axes_are_drawn_on(results):
    _, axes = plt.subplots(1, 2)
    scores = StrategyDisplay.from_results(results).scores
    assert StrategyDisplay(scores).plot(axes=axes).axes_[1] is axes[1]


def test_an_own_panel_is_drawn_on_and_gets_the_title(sized):
    _, ax = plt.subplots()
    display = AnnotatorMapDisplay.from_results(sized)
    assert display.plot(ax=ax, title="a title") is display
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert ax.get_title() == "a title"


def test_axes_can_be_given_where_a_picture_is_made(results, sized, model):
    estimator, source = model
    _, panels = plt.subplots(1, 2)
    assert StrategyDisplay.from_results(results, axes=panels).axes_[1] is panels[1]
    assert EnrollmentDisplay.from_results(sized, axes=panels).axes_[0] is panels[0]
    label = source.ratings.annotators[0]
    assert (
        AnnotatorDisplay.from_estimator(estimator, source.X, source.ratings, label, axes=panels).axes_[0] is panels[0]
    )
    _, ax = plt.subplots()
    assert AnnotatorMapDisplay.from_results(sized, ax=ax).ax_ is ax
    assert AnnotatorSimilarityDisplay.from_estimator(estimator, source.X, ax=ax).ax_ is ax


def test_missing_columns_are_named(results):
    with pytest.raises(ValueError, match=r"results must have columns \['ccc'\]"):
        StrategyDisplay.from_results(results.drop(columns="ccc"))


def test_without_matplotlib_the_message_says_how_to_get_it(results, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-annoser\[plot\]'"):
        StrategyDisplay.from_results(results)
