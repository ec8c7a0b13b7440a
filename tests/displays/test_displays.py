import builtins

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.annotators import annotator_similarity, cluster_annotators, embed_annotators
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.displays import (
    AnnotatorDisplay,
    AnnotatorEmbeddingDisplay,
    AnnotatorMapDisplay,
    AnnotatorSimilarityDisplay,
    DistributionDisplay,
    EnrollmentDisplay,
    ForecastDisplay,
    StrategyDisplay,
)
from sklearn_annoser.metrics import ccc_score

mpl.use("Agg")


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    keys = [
        (strategy, output, f"ann_{annotator}", draw)
        for strategy in ("random", "mapped")
        for output in ("activation", "valence")
        for annotator in range(4)
        for draw in range(3)
    ]
    frame = pd.DataFrame(keys, columns=["strategy", "output", "annotator", "draw"])
    return frame.assign(ccc=rng.uniform(0, 1, size=len(frame)))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    mpl.pyplot.close("all")


def test_each_output_has_a_panel_with_each_strategy_in_the_given_order(results):
    display = StrategyDisplay.from_results(results, title="two strategies")
    assert [ax.get_title() for ax in display.axes_] == ["activation", "valence"]
    assert [label.get_text() for label in display.axes_[0].get_yticklabels()] == ["random", "mapped"]
    assert display.figure_.get_suptitle() == "two strategies"


def test_dots_are_annotators_and_the_large_one_is_their_mean(results):
    display = StrategyDisplay.from_results(results)
    one = results.query("strategy == 'random' and output == 'activation'").groupby("annotator")["ccc"].mean()
    dots, interval, mean = display.axes_[0].lines[:3]
    np.testing.assert_allclose(dots.get_xdata(), one.to_numpy())
    assert mean.get_xdata()[0] == pytest.approx(one.mean())
    assert interval.get_xdata()[0] < one.mean() < interval.get_xdata()[1]


def test_no_text_is_cut_off_at_the_figure_s_edge(results):
    long = results.replace({"strategy": {"mapped": "mapped to the five best and calibrated"}})
    figure = StrategyDisplay.from_results(long, title="title").figure_
    figure.canvas.draw()
    for text in (text for ax in figure.axes for text in [*ax.get_yticklabels(), ax.xaxis.label] if text.get_visible()):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1


def test_own_axes_are_drawn_on(results):
    _, axes = mpl.pyplot.subplots(1, 2)
    scores = StrategyDisplay.from_results(results).scores
    assert StrategyDisplay(scores).plot(axes=axes).axes_[1] is axes[1]


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


# ---------------------------------------------------------------------- by enrollment, and who is mapped to whom


@pytest.fixture
def sized():
    """Results of two strategies, three sizes and four runs."""
    rng = np.random.default_rng(0)
    rows = [
        (strategy, output, size, annotator, seed, f"source {rng.integers(30)}", rng.normal(0.5, 0.1))
        for strategy in ("random", "mapped")
        for output in ("activation", "valence")
        for size in (20, "all", 5)
        for annotator in ("ann", "bob", "a very long name of an annotator")
        for seed in range(4)
    ]
    columns = ["strategy", "output", "n_enrollment", "annotator", "seed", "source", "ccc"]
    return pd.DataFrame(rows, columns=columns).assign(level="individual")


def test_lines_are_the_means_over_runs_in_the_order_of_the_sizes(sized):
    more = sized.assign(level="consensus", ccc=0.0)
    display = EnrollmentDisplay.from_results(pd.concat([sized, more]), title="a title")
    assert len(display.axes_) == 2
    means = sized[sized["output"] == "valence"].groupby(["strategy", "n_enrollment"])["ccc"].mean()
    for line in display.axes_[1].get_lines():
        expected = [means[line.get_label(), size] for size in (5, 20, "all")]
        np.testing.assert_allclose(line.get_ydata(), expected)
    assert [label.get_text() for label in display.axes_[1].get_xticklabels()] == ["5", "20", "all"]
    assert [text.get_text() for text in display.figure_.legends[0].get_texts()] == ["random", "mapped"]
    one = EnrollmentDisplay.from_results(sized, strategies=["mapped"])
    assert len(one.axes_[0].get_lines()) == 1


def test_one_run_and_one_size_can_be_drawn(sized):
    display = EnrollmentDisplay.from_results(sized[(sized["seed"] == 0) & (sized["n_enrollment"] == 5)])
    display.figure_.canvas.draw()


def test_the_map_shows_shares_of_runs_and_folds_rare_sources_together(sized):
    display = AnnotatorMapDisplay.from_results(sized, max_sources=4, title="a title")
    assert display.shares.shape == (3, 5)
    np.testing.assert_allclose(display.shares.sum(axis=1), 1)
    np.testing.assert_allclose(display.ax_.get_images()[0].get_array(), display.shares)
    mapped = sized[(sized["strategy"] == "mapped") & (sized["output"] == "activation")]
    most = display.shares.columns[0]
    expected = (mapped.loc[mapped["annotator"] == "bob", "source"] == most).mean()
    assert display.shares.loc["bob", most] == pytest.approx(expected)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert max(map(len, labels)) <= 18
    assert AnnotatorMapDisplay.from_results(sized, max_targets=2).shares.shape[0] == 2


def test_results_that_cannot_be_drawn(sized):
    with pytest.raises(ValueError, match=r"results must have columns \['n_enrollment'\]"):
        EnrollmentDisplay.from_results(sized.drop(columns="n_enrollment"))
    with pytest.raises(ValueError, match="no row of level 'consensus'"):
        EnrollmentDisplay.from_results(sized, level="consensus")
    with pytest.raises(ValueError, match="strategy 'oracle' has no single source annotator"):
        AnnotatorMapDisplay.from_results(sized, strategy="oracle")


# ---------------------------------------------------------------------- one annotator, one sample


@pytest.fixture(scope="module")
def model():
    source, _ = make_corpora(n_samples=200, n_annotators=8, random_state=0)
    settings = {"n_hidden": 8, "lr": 0.02, "max_epochs": 2, "random_state": 0}
    return AnnotatorMappedRegressor(**settings).fit(source.X, source.ratings), source


def test_the_dots_are_ratings_and_predictions_of_one_annotator(model):
    estimator, source = model
    label = source.ratings.annotators[3]
    display = AnnotatorDisplay.from_estimator(estimator, source.X, source.ratings, label, title="a title")
    rows, values = source.ratings.of(label)
    predicted = estimator.predict(source.X[rows], annotator=label)
    for output, ax in enumerate(display.axes_):
        dots = ax.get_lines()[0]
        np.testing.assert_allclose(dots.get_xdata(), values[:, output])
        np.testing.assert_allclose(dots.get_ydata(), predicted[:, output], atol=1e-5)
        assert (
            ax.get_title()
            == f"{source.ratings.outputs[output]}, CCC {ccc_score(values[:, output], predicted[:, output]):.2f}"
        )
    AnnotatorDisplay.from_predictions([1.0], [2.0]).figure_.canvas.draw()


@pytest.mark.parametrize("outputs", [["valence"], ["activation", "valence"]])
def test_a_distribution_is_drawn_as_bars_or_colours_with_the_ratings(model, outputs):
    estimator, source = model
    mass, edges = estimator.predict_distribution(source.X[:3], outputs=outputs, n_cells=5)
    ratings = source.ratings[[0]].values[:, : len(outputs)]
    display = DistributionDisplay.from_grid(mass[0], edges, ratings=ratings, outputs=outputs, title="a title")
    drawn = (
        [bar.get_height() for bar in display.ax_.patches]
        if len(outputs) == 1
        else display.ax_.collections[0].get_array()
    )
    np.testing.assert_allclose(np.ravel(drawn), mass[0].T.ravel())
    np.testing.assert_allclose(display.ax_.get_lines()[0].get_xdata(), ratings[:, 0])
    display.figure_.canvas.draw()


def test_what_does_not_fit_is_not_drawn():
    with pytest.raises(ValueError, match=r"must have one shape, got \(2, 1\) and \(3, 1\)"):
        AnnotatorDisplay.from_predictions([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="outputs must name the 1 outputs"):
        AnnotatorDisplay.from_predictions([1.0, 2.0], [1.0, 2.0], outputs=["a", "b"])
    with pytest.raises(ValueError, match=r"mass of shape \(3,\) and edges of shape \(3,\) do not fit"):
        DistributionDisplay.from_grid([0.2, 0.3, 0.5], [0, 1, 2])


# ---------------------------------------------------------------------- forecasts


def forecasts(n=100):
    rng = np.random.RandomState(0)
    expected = rng.uniform(0, 0.8, size=n)
    one = pd.DataFrame({"expected": expected, "ccc": expected + rng.normal(scale=0.1, size=n)})
    widths = {0.5: 0.067, 0.8: 0.128, 0.95: 0.196}
    return pd.concat(
        [one.assign(level=level, low=expected - width, high=expected + width) for level, width in widths.items()]
    )


def test_forecasts_are_drawn_beside_what_came():
    display = ForecastDisplay.from_results(forecasts(), title="forecasts")
    reliability, intervals, risk = display.axes_
    centres = reliability.lines[1].get_xydata()
    assert np.abs(centres[:, 0] - centres[:, 1]).max() < 0.15
    stated, held = intervals.lines[1].get_data()
    np.testing.assert_array_equal(stated, [0.5, 0.8, 0.95])
    np.testing.assert_allclose(held, stated, atol=0.12)
    assert risk.lines[0].get_ydata()[0] > risk.lines[0].get_ydata()[-1]
    assert display.figure_.get_suptitle() == "forecasts"


def test_forecasts_need_their_columns_and_rows():
    with pytest.raises(ValueError, match="level"):
        ForecastDisplay.from_results(forecasts().drop(columns="level"))
    with pytest.raises(ValueError, match="results have no rows: there is nothing to draw"):
        ForecastDisplay.from_results(forecasts().iloc[:0])


# ---------------------------------------------------------------------- annotators beside each other


def positions(n_annotators, seed=0):
    """Return a place on a plane for each of many annotators, two groups and one outlier, and their groups."""
    group = np.arange(n_annotators) % 2
    points = np.random.default_rng(seed).normal(size=(n_annotators, 2)) + 8 * group[:, None]
    points[-1], group[-1] = (-20, 20), -1
    labels = [f"annotator {index}" for index in range(n_annotators)]
    frame = pd.DataFrame(points, index=labels, columns=["component_1", "component_2"])
    return frame, pd.DataFrame({"cluster": group}, index=labels)


def test_a_model_s_annotators_are_drawn_as_colours_and_as_dots(model):
    estimator, source = model
    clusters = cluster_annotators(estimator, source.X, n_clusters=2, random_state=0)
    display = AnnotatorSimilarityDisplay.from_estimator(estimator, source.X, clusters=clusters, title="a title")
    similarity = annotator_similarity(estimator, source.X)
    pd.testing.assert_frame_equal(display.ordered_.loc[similarity.index, similarity.columns], similarity)
    np.testing.assert_array_equal(display.ax_.get_images()[0].get_array(), display.ordered_)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == display.ordered_.index.tolist()
    assert clusters["cluster"].reindex(display.ordered_.index).is_monotonic_increasing
    dots = AnnotatorEmbeddingDisplay.from_estimator(estimator, source.X, clusters=clusters, title="a title")
    coordinates, explained = embed_annotators(estimator, source.X)
    drawn = np.concatenate([line.get_xydata() for line in dots.ax_.get_lines()])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(coordinates, axis=0))
    assert dots.ax_.get_xlabel() == f"component 1 ({100 * explained.iloc[0]:.0f} % of the variance)"
    for each in (AnnotatorSimilarityDisplay, AnnotatorEmbeddingDisplay):
        each.from_estimator(estimator, output="valence").figure_.canvas.draw()


def test_of_many_annotators_the_groups_are_named_and_the_outliers_come_last():
    coordinates, clusters = positions(80)
    distance = np.linalg.norm(coordinates.to_numpy()[:, None] - coordinates.to_numpy(), axis=2)
    similarity = pd.DataFrame(np.exp(-distance), index=coordinates.index, columns=coordinates.index)
    display = AnnotatorSimilarityDisplay(similarity, clusters).plot()
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["group 0 (40)", "group 1 (39)", "outliers (1)"]
    assert display.ordered_.index[-1] == "annotator 79"
    assert len(display.ax_.get_lines()) == 4
    dots = AnnotatorEmbeddingDisplay(coordinates, None, clusters).plot()
    assert [text.get_text() for text in dots.ax_.texts] == ["annotator 79"]
    assert [text.get_text() for text in dots.figure_.legends[0].get_texts()] == [*names]


def test_names_on_the_map_do_not_overlap_and_stay_inside():
    coordinates, clusters = positions(300)
    clusters.iloc[::4] = -1
    display = AnnotatorEmbeddingDisplay(coordinates, None, clusters).plot()
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.texts]
    assert 5 < len(boxes) < 75
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    frame = display.ax_.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_few_annotators_and_many_groups_can_be_drawn():
    coordinates, clusters = positions(60)
    clusters["cluster"] = np.arange(60) % 20
    similarity = pd.DataFrame(np.eye(60), index=coordinates.index, columns=coordinates.index)
    ticks = AnnotatorSimilarityDisplay(similarity, clusters).plot().ax_.get_yticks()
    assert 1 < len(ticks) <= 20
    assert (np.diff(ticks) > 1.5).all()
    assert AnnotatorSimilarityDisplay(similarity.iloc[:2, :2]).plot().ordered_.shape == (2, 2)
    AnnotatorEmbeddingDisplay(coordinates.iloc[:2], None, clusters).plot().figure_.canvas.draw()


def test_annotators_that_cannot_be_drawn(monkeypatch):
    coordinates, clusters = positions(10)
    similarity = pd.DataFrame(np.eye(10), index=coordinates.index, columns=coordinates.index)
    with pytest.raises(ValueError, match="clusters must be indexed by annotator, with each of them"):
        AnnotatorSimilarityDisplay(similarity, clusters.iloc[:5]).plot()
    with pytest.raises(ValueError, match="and have a column 'cluster'"):
        AnnotatorEmbeddingDisplay(coordinates, None, coordinates).plot()
    monkeypatch.setattr("sklearn_annoser.displays._displays.MOST_SHOWN", 9)
    with pytest.raises(ValueError, match="at most 9 annotators can be drawn, got 10: choose some"):
        AnnotatorSimilarityDisplay(similarity).plot()
