"""Pictures of results: numbers in, then `plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from sklearn_annoser._optional import import_matplotlib
from sklearn_annoser._validation import as_columns, check_finite_values
from sklearn_annoser.annotators import annotator_similarity, cluster_annotators, embed_annotators
from sklearn_annoser.evaluation import coverage_table, risk_coverage
from sklearn_annoser.metrics import ccc_score
from sklearn_annoser.ratings import Ratings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "AnnotatorDisplay",
    "AnnotatorEmbeddingDisplay",
    "AnnotatorMapDisplay",
    "AnnotatorSimilarityDisplay",
    "DistributionDisplay",
    "EnrollmentDisplay",
    "ForecastDisplay",
    "StrategyDisplay",
]

BLUE, GREY = "#0072B2", "#767676"  # Okabe and Ito's blue, and a grey with enough contrast on white
# Okabe and Ito's colours without yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
LONGEST_LABEL = 18
MOST_NAMED = 40  # annotators with a name each beside the heat map; on the map, half of them
MOST_SHOWN = 3000  # annotators in a heat map: there are fewer pixels
OUTLIER = -1


class StrategyDisplay:
    """CCC by strategy: each annotator's mean over the draws as a dot, their mean with a confidence interval.

    Parameters
    ----------
    scores : DataFrame
        CCC of each annotator, averaged over draws and seeds: columns `strategy`, `output`, `annotator` and `ccc`.

    Attributes
    ----------
    axes_ : array of Axes, shape (n_outputs,)
        One panel for each output.
    figure_ : Figure
        The figure.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import StrategyDisplay
    >>> columns = ["strategy", "output", "annotator", "ccc"]
    >>> rows = [("random", "valence", "ann", 0.3), ("mapped", "valence", "ann", 0.5)]
    >>> display = StrategyDisplay.from_results(pd.DataFrame(rows, columns=columns))
    >>> display.scores["ccc"].tolist()
    [0.3, 0.5]
    """

    axes_: np.ndarray
    figure_: Figure

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores

    @classmethod
    def from_results(cls, results: pd.DataFrame, *, title: str | None = None) -> StrategyDisplay:
        """Draw what :func:`~sklearn_annoser.evaluation.compare_strategies` returned.

        Parameters
        ----------
        results : DataFrame
            With columns `strategy`, `output`, `annotator` and `ccc`, for one enrollment size.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        StrategyDisplay
        """
        _check_columns(results, ("strategy", "output", "annotator", "ccc"))
        means = results.groupby(["strategy", "output", "annotator"], sort=False)["ccc"].mean().reset_index()
        return cls(means).plot(title=title)

    def plot(self, *, axes: Any = None, title: str | None = None) -> StrategyDisplay:
        """Draw one panel for each output.

        Parameters
        ----------
        axes : array of Axes, shape (n_outputs,), default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        StrategyDisplay
        """
        outputs, strategies = self.scores["output"].unique(), self.scores["strategy"].unique()
        if axes is None:
            plt = import_matplotlib()
            size = (2.2 + 3.4 * len(outputs), 1.2 + 0.42 * len(strategies))
            _, axes = plt.subplots(1, len(outputs), figsize=size, sharey=True, layout="constrained")
        self.axes_ = np.atleast_1d(axes)
        self.figure_ = self.axes_[0].figure
        for ax, output in zip(self.axes_, outputs, strict=True):
            self._plot_output(ax, self.scores[self.scores["output"] == output], strategies)
            ax.set(title=output, xlabel="CCC with the annotator's ratings")
        if title is not None:
            self.figure_.suptitle(title)
        return self

    @staticmethod
    def _plot_output(ax: Axes, scores: pd.DataFrame, strategies: np.ndarray) -> None:
        """Draw one output: dots of annotators, mean and 95 % interval."""
        rng = np.random.RandomState(0)
        for place, strategy in enumerate(strategies):
            ccc = scores.loc[scores["strategy"] == strategy, "ccc"].dropna().to_numpy()
            jitter = rng.uniform(-0.22, 0.22, size=len(ccc))
            ax.plot(ccc, place + jitter, "o", color=GREY, alpha=0.45, markersize=4, markeredgewidth=0)
            if len(ccc) > 1:
                resampled = ccc[rng.randint(len(ccc), size=(1000, len(ccc)))].mean(axis=1)
                low, high = np.percentile(resampled, [2.5, 97.5])
                ax.plot([low, high], [place, place], color=BLUE, linewidth=2.5, solid_capstyle="butt")
            ax.plot(ccc.mean(), place, "o", color=BLUE, markersize=8)
        ax.set_yticks(np.arange(len(strategies)), list(strategies))
        ax.set_ylim(len(strategies) - 0.5, -0.5)
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)


class EnrollmentDisplay:
    """CCC by number of enrollment ratings: a line for each strategy, with a band of one standard error over runs.

    Parameters
    ----------
    scores : DataFrame
        Columns `strategy`, `output`, `n_enrollment`, `mean` and `sem` (standard error) over runs.

    Attributes
    ----------
    axes_ : array of Axes, shape (n_outputs,)
        One panel for each output.
    figure_ : Figure
        The figure.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import EnrollmentDisplay
    >>> columns = ["strategy", "output", "n_enrollment", "annotator", "seed", "ccc"]
    >>> rows = [("mapped", "valence", n, "ann", seed, n / 40) for n in (5, 20) for seed in (0, 1)]
    >>> display = EnrollmentDisplay.from_results(pd.DataFrame(rows, columns=columns))
    >>> display.scores["mean"].tolist()
    [0.125, 0.5]
    """

    axes_: np.ndarray
    figure_: Figure

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores

    @classmethod
    def from_results(
        cls, results: pd.DataFrame, *, strategies: Any = None, level: str = "individual", title: str | None = None
    ) -> EnrollmentDisplay:
        """Draw results of several enrollment sizes.

        Parameters
        ----------
        results : DataFrame
            As of :func:`~sklearn_annoser.evaluation.compare_folds` or
            :func:`~sklearn_annoser.evaluation.compare_strategies`.
        strategies : sequence of str, default=None
            Which, in this order. None: all.
        level : str, default="individual"
            Which level, where there are several.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        EnrollmentDisplay
        """
        _check_columns(results, ("strategy", "output", "n_enrollment", "annotator", "ccc"))
        some = results[results["level"] == level] if "level" in results else results
        if strategies is not None:
            some = some[some["strategy"].isin(list(strategies))]
        if not len(some):
            raise ValueError(f"results have no row of level {level!r} and the strategies {strategies!r}.")
        keys = ["strategy", "output", "n_enrollment"]
        runs = [column for column in ("seed", "fold", "draw") if column in some]
        each = some.groupby([*keys, *runs], sort=False)["ccc"].mean()
        scores = each.groupby(keys, sort=False).agg(["mean", "sem"]).reset_index()
        if strategies is not None:
            scores = pd.concat([scores[scores["strategy"] == name] for name in strategies], ignore_index=True)
        return cls(scores).plot(title=title)

    def plot(self, *, axes: Any = None, title: str | None = None) -> EnrollmentDisplay:
        """Draw one panel for each output.

        Parameters
        ----------
        axes : array of Axes, shape (n_outputs,), default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        EnrollmentDisplay
        """
        outputs, strategies = self.scores["output"].unique(), self.scores["strategy"].unique()
        sizes = sorted(self.scores["n_enrollment"].unique(), key=lambda size: (size == "all", size))
        if axes is None:
            size = (2.6 + 3.6 * len(outputs), 3.4 + 0.1 * max(len(strategies) - 8, 0))
            _, axes = import_matplotlib().subplots(1, len(outputs), figsize=size, sharey=True, layout="constrained")
        self.axes_ = np.atleast_1d(axes)
        self.figure_ = self.axes_[0].figure
        for ax, output in zip(self.axes_, outputs, strict=True):
            for number, strategy in enumerate(strategies):
                own = self.scores[(self.scores["output"] == output) & (self.scores["strategy"] == strategy)]
                own = own.set_index("n_enrollment").reindex(sizes)
                self._plot_line(ax, own, strategy, number)
            ax.set_xticks(np.arange(len(sizes)), [str(size) for size in sizes])
            ax.set(title=output, xlabel="enrollment ratings")
            ax.grid(axis="y", color="0.9")
            ax.set_axisbelow(True)
            ax.spines[["top", "right"]].set_visible(False)
        self.axes_[0].set_ylabel("CCC, mean over runs \u00b1 standard error")
        handles, labels = self.axes_[0].get_legend_handles_labels()
        self.figure_.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
        if title is not None:
            self.figure_.suptitle(title)
        return self

    @staticmethod
    def _plot_line(ax: Axes, own: pd.DataFrame, strategy: str, number: int) -> None:
        """Draw one strategy: a line with markers, and its band."""
        colour = COLOURS[number % len(COLOURS)]
        style = ("-", "--", ":")[number // len(COLOURS) % 3]
        x = np.arange(len(own))
        marker = MARKERS[number % len(MARKERS)]
        ax.plot(x, own["mean"], style, color=colour, marker=marker, markersize=4, linewidth=1.5, label=strategy)
        spread = own["sem"].fillna(0)
        ax.fill_between(x, own["mean"] - spread, own["mean"] + spread, color=colour, alpha=0.15, linewidth=0)


class AnnotatorMapDisplay:
    """Who is mapped to whom: for each target annotator how often each source annotator was chosen.

    Parameters
    ----------
    shares : DataFrame
        Share of the runs, a row for each target annotator, a column for each source annotator.

    Attributes
    ----------
    ax_ : Axes
        The panel.
    figure_ : Figure
        The figure.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import AnnotatorMapDisplay
    >>> rows = [("mapped", "ann", "s1", 0), ("mapped", "ann", "s1", 1), ("mapped", "ann", "s2", 2)]
    >>> results = pd.DataFrame(rows, columns=["strategy", "annotator", "source", "seed"]).assign(output="valence")
    >>> AnnotatorMapDisplay.from_results(results).shares.round(2).loc["ann"].tolist()
    [0.67, 0.33]
    """

    ax_: Axes
    figure_: Figure

    def __init__(self, shares: pd.DataFrame) -> None:
        self.shares = shares

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        *,
        strategy: str = "mapped",
        max_sources: int = 15,
        max_targets: int = 30,
        title: str | None = None,
    ) -> AnnotatorMapDisplay:
        """Draw the mapping of results.

        Parameters
        ----------
        results : DataFrame
            As of :func:`~sklearn_annoser.evaluation.compare_folds` or
            :func:`~sklearn_annoser.evaluation.compare_strategies`.
        strategy : str, default="mapped"
            A strategy with a single source annotator.
        max_sources : int, default=15
            Source annotators with a column of their own; the rarer ones share the last, "others".
        max_targets : int, default=30
            Target annotators shown: those with the most runs.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        AnnotatorMapDisplay
        """
        _check_columns(results, ("strategy", "annotator", "source", "output"))
        mapped = results[(results["strategy"] == strategy) & (results["output"] == results["output"].iloc[0])]
        mapped = mapped.dropna(subset="source")
        if not len(mapped):
            raise ValueError(f"strategy {strategy!r} has no single source annotator in any run.")
        counts = pd.crosstab(mapped["annotator"], mapped["source"])
        counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index[:max_targets]]
        counts = counts[counts.sum().sort_values(ascending=False, kind="stable").index]
        shares = counts.div(counts.sum(axis=1), axis=0)
        if shares.shape[1] > max_sources:
            rare = shares.iloc[:, max_sources:].sum(axis=1)
            shares = shares.iloc[:, :max_sources].assign(others=rare)
        return cls(shares).plot(title=title)

    def plot(self, *, ax: Any = None, title: str | None = None) -> AnnotatorMapDisplay:
        """Draw the table as colours.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        AnnotatorMapDisplay
        """
        n_targets, n_sources = self.shares.shape
        if ax is None:
            size = (3.2 + 0.34 * n_sources, 2.2 + 0.24 * n_targets)
            _, ax = import_matplotlib().subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        image = ax.imshow(self.shares.to_numpy(), cmap="cividis", vmin=0, vmax=1, aspect="auto")
        rotation = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(np.arange(n_sources), [_short(label) for label in self.shares.columns], fontsize=8, **rotation)
        ax.set_yticks(np.arange(n_targets), [_short(label) for label in self.shares.index], fontsize=8)
        ax.set(xlabel="source annotator", ylabel="target annotator")
        self.figure_.colorbar(image, ax=ax, label="share of runs", shrink=0.8)
        if title is not None:
            ax.set_title(title)
        return self


class AnnotatorDisplay:
    """Predictions against the ratings of one annotator, a panel for each output.

    Parameters
    ----------
    y_true, y_pred : array, shape (n_samples, n_outputs)
        Ratings and predictions.
    outputs : sequence of str
        Names of the outputs.

    Attributes
    ----------
    axes_ : array of Axes, shape (n_outputs,)
        One panel for each output.
    figure_ : Figure
        The figure.

    Examples
    --------
    >>> from sklearn_annoser.displays import AnnotatorDisplay
    >>> display = AnnotatorDisplay.from_predictions([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], outputs=["valence"])
    >>> display.axes_[0].get_title()
    'valence, CCC 1.00'
    """

    axes_: np.ndarray
    figure_: Figure

    def __init__(self, y_true: np.ndarray, y_pred: np.ndarray, outputs: Any) -> None:
        self.y_true, self.y_pred, self.outputs = y_true, y_pred, list(outputs)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, ratings: Ratings, annotator: Any, *, title: str | None = None
    ) -> AnnotatorDisplay:
        """Draw what an estimator predicts for an annotator that it knows.

        Parameters
        ----------
        estimator : fitted AnnotatorMappedRegressor or AnnotatorMapper
            Who predicts.
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        ratings : Ratings
            Ratings of the samples.
        annotator : label
            Whose.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        AnnotatorDisplay
        """
        own = ratings.keep_annotators([annotator])
        predicted = estimator.predict_ratings(X, own)
        return cls.from_predictions(own.values, predicted.values, outputs=own.outputs, title=title)

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_pred: Any, *, outputs: Any = None, title: str | None = None
    ) -> AnnotatorDisplay:
        """Draw ratings and predictions.

        Parameters
        ----------
        y_true, y_pred : array-like, shape (n_samples,) or (n_samples, n_outputs)
            Ratings and predictions.
        outputs : sequence of str, default=None
            Names of the outputs.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        AnnotatorDisplay
        """
        true, pred = (as_columns(check_finite_values(name, y)) for name, y in (("y_true", y_true), ("y_pred", y_pred)))
        if true.shape != pred.shape:
            raise ValueError(f"y_true and y_pred must have one shape, got {true.shape} and {pred.shape}.")
        names = [f"output {k}" for k in range(true.shape[1])] if outputs is None else list(outputs)
        if len(names) != true.shape[1]:
            raise ValueError(f"outputs must name the {true.shape[1]} outputs, got {names}.")
        return cls(true, pred, names).plot(title=title)

    def plot(self, *, axes: Any = None, title: str | None = None) -> AnnotatorDisplay:
        """Draw one panel for each output.

        Parameters
        ----------
        axes : array of Axes, shape (n_outputs,), default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        AnnotatorDisplay
        """
        if axes is None:
            size = (0.4 + 3.3 * len(self.outputs), 3.7)
            _, axes = import_matplotlib().subplots(1, len(self.outputs), figsize=size, layout="constrained")
        self.axes_ = np.atleast_1d(axes)
        self.figure_ = self.axes_[0].figure
        for ax, name, true, pred in zip(self.axes_, self.outputs, self.y_true.T, self.y_pred.T, strict=True):
            ax.plot(true, pred, "o", color=BLUE, alpha=0.5, markersize=5, markeredgewidth=0)
            low, high = min(true.min(), pred.min()), max(true.max(), pred.max())
            ax.plot([low, high], [low, high], color=GREY, linewidth=1)
            ccc = ccc_score(true, pred) if len(true) > 1 else np.nan
            ax.set(title=f"{name}, CCC {ccc:.2f}", xlabel="rating", ylabel="prediction")
            ax.set_aspect("equal", adjustable="datalim")
            ax.spines[["top", "right"]].set_visible(False)
        if title is not None:
            self.figure_.suptitle(title)
        return self


class AnnotatorSimilarityDisplay:
    """Similarity of every two annotators as colours, those alike side by side.

    Annotators stand in their groups, and in these in the order of a hierarchical clustering (average linkage); lines
    part the groups, outliers come last.

    Parameters
    ----------
    similarity : DataFrame, shape (n_annotators, n_annotators)
        As of :func:`~sklearn_annoser.annotators.annotator_similarity`.
    clusters : DataFrame, indexed by annotator, default=None
        As of :func:`~sklearn_annoser.annotators.cluster_annotators`. None: all are one group.
    label : str, default="similarity"
        What the colours say.

    Attributes
    ----------
    ordered_ : DataFrame
        The similarity as it is drawn.
    ax_ : Axes
        The panel.
    figure_ : Figure
        The figure.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import AnnotatorSimilarityDisplay
    >>> names = ["ann", "bob", "cy"]
    >>> similarity = pd.DataFrame([[1, 0.1, 0.9], [0.1, 1, 0.2], [0.9, 0.2, 1]], index=names, columns=names)
    >>> AnnotatorSimilarityDisplay(similarity).plot().ordered_.index.tolist()
    ['bob', 'ann', 'cy']
    """

    ordered_: pd.DataFrame
    ax_: Axes
    figure_: Figure

    def __init__(self, similarity: pd.DataFrame, clusters: Any = None, label: str = "similarity") -> None:
        self.similarity, self.clusters, self.label = similarity, clusters, label

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, output: str | None = None, clusters: Any = None, title: str | None = None
    ) -> AnnotatorSimilarityDisplay:
        """Draw the annotators that a model knows.

        Parameters
        ----------
        estimator : fitted AnnotatorMappedRegressor or AnnotatorMapper, or a Pipeline that ends in one
            Who knows the annotators.
        X : array-like, shape (n_samples, n_features), default=None
            Features of samples to compare the predictions on. None: compare the heads.
        output : str, default=None
            One of `outputs_`. None: the mean over all.
        clusters : DataFrame, default=None
            As of :func:`~sklearn_annoser.annotators.cluster_annotators`. None: they are found.
        title : str, default=None
            Title of the panel.

        Returns
        -------
        AnnotatorSimilarityDisplay
        """
        similarity = annotator_similarity(estimator, X, output=output)
        if clusters is None:
            clusters = cluster_annotators(estimator, X, output=output, random_state=0)
        label = "cosine of the heads, less their mean" if X is None else "CCC of the predictions"
        return cls(similarity, clusters, label).plot(title=title)

    def plot(self, *, ax: Any = None, title: str | None = None) -> AnnotatorSimilarityDisplay:
        """Draw the matrix as colours.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the panel.

        Returns
        -------
        AnnotatorSimilarityDisplay
        """
        n_annotators = len(self.similarity)
        if n_annotators > MOST_SHOWN:
            raise ValueError(
                f"at most {MOST_SHOWN} annotators can be drawn, got {n_annotators}: choose some, as in "
                "AnnotatorSimilarityDisplay(similarity.loc[some, some], clusters).plot()."
            )
        groups = _groups_of(self.similarity.index, self.clusters)
        order = _similar_side_by_side(self.similarity.to_numpy(), groups)
        self.ordered_, groups = self.similarity.iloc[order, order], groups[order]
        named = n_annotators <= MOST_NAMED
        if ax is None:
            side = 2.6 + 0.24 * n_annotators if named else 6.4
            _, ax = import_matplotlib().subplots(figsize=(side + 1.2, side), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        values = self.ordered_.to_numpy()
        low = np.percentile(values, 1)  # not of the one pair that is most unlike
        cmap, low = ("RdBu_r", -1.0) if low < 0 else ("cividis", float(low))
        image = ax.imshow(values, interpolation="antialiased", cmap=cmap, vmin=low, vmax=1)
        self.figure_.colorbar(image, ax=ax, label=self.label, shrink=0.8)
        for edge in np.flatnonzero(np.diff(groups)) + 0.5:
            ax.axhline(edge, color="black", linewidth=0.8)
            ax.axvline(edge, color="black", linewidth=0.8)
        if named:
            rotation = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
            names = [_short(label) for label in self.ordered_.index]
            ax.set_xticks(np.arange(n_annotators), names, fontsize=8, **rotation)
            ax.set_yticks(np.arange(n_annotators), names, fontsize=8)
        else:
            ax.set_xticks([])
            ax.set_yticks(*_group_ticks(groups), fontsize=8)
            ax.set_xlabel(f"{n_annotators} annotators")
        if title is not None:
            ax.set_title(title)
        return self


class AnnotatorEmbeddingDisplay:
    """Annotators on a map: near each other if they predict alike, with the colour of their group.

    Few annotators all have their names, of many the outliers do, as far as there is room.

    Parameters
    ----------
    coordinates : DataFrame, indexed by annotator
        As of :func:`~sklearn_annoser.annotators.embed_annotators`; the first two columns are drawn.
    explained : Series, default=None
        Share of the variance that each coordinate explains.
    clusters : DataFrame, indexed by annotator, default=None
        As of :func:`~sklearn_annoser.annotators.cluster_annotators`. None: all are one group.

    Attributes
    ----------
    ax_ : Axes
        The panel.
    figure_ : Figure
        The figure.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import AnnotatorEmbeddingDisplay
    >>> coordinates = pd.DataFrame([[0.0, 1.0], [1.0, 0.0]], index=["ann", "bob"], columns=["one", "two"])
    >>> [text.get_text() for text in AnnotatorEmbeddingDisplay(coordinates).plot().ax_.texts]
    ['ann', 'bob']
    """

    ax_: Axes
    figure_: Figure

    def __init__(self, coordinates: pd.DataFrame, explained: Any = None, clusters: Any = None) -> None:
        self.coordinates, self.explained, self.clusters = coordinates, explained, clusters

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, output: str | None = None, clusters: Any = None, title: str | None = None
    ) -> AnnotatorEmbeddingDisplay:
        """Draw the annotators that a model knows.

        Parameters
        ----------
        estimator : fitted AnnotatorMappedRegressor or AnnotatorMapper, or a Pipeline that ends in one
            Who knows the annotators: three at least.
        X : array-like, shape (n_samples, n_features), default=None
            Features of samples to compare the predictions on. None: compare the heads.
        output : str, default=None
            One of `outputs_`. None: all together.
        clusters : DataFrame, default=None
            As of :func:`~sklearn_annoser.annotators.cluster_annotators`. None: they are found.
        title : str, default=None
            Title of the panel.

        Returns
        -------
        AnnotatorEmbeddingDisplay
        """
        coordinates, explained = embed_annotators(estimator, X, output=output)
        if clusters is None:
            clusters = cluster_annotators(estimator, X, output=output, random_state=0)
        return cls(coordinates, explained, clusters).plot(title=title)

    def plot(self, *, ax: Any = None, title: str | None = None) -> AnnotatorEmbeddingDisplay:
        """Draw a dot for each annotator.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the panel.

        Returns
        -------
        AnnotatorEmbeddingDisplay
        """
        if ax is None:
            _, ax = import_matplotlib().subplots(figsize=(6.4, 5.0), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        points = self.coordinates.to_numpy()[:, :2]
        groups = _groups_of(self.coordinates.index, self.clusters)
        size = 6 if len(points) <= 200 else 4
        for group in np.roll(np.unique(groups), -int(OUTLIER in groups)):  # outliers last, on top
            x, y = points[groups == group].T
            colour, marker = ("black", "x") if group == OUTLIER else (COLOURS[group % 7], MARKERS[group % 7])
            style = {"color": colour, "marker": marker, "markersize": size, "alpha": 0.7}
            ax.plot(x, y, linestyle="", label=_group_name(group, len(x)), **style)
        ax.set_aspect("equal", adjustable="datalim")  # distances are what it is about
        ax.margins(0.1)
        for axis, name in zip("xy", self.coordinates.columns, strict=False):
            share = "" if self.explained is None else f" ({100 * self.explained[name]:.0f} % of the variance)"
            ax.set(**{f"{axis}label": name.replace("_", " ") + share})
        ax.spines[["top", "right"]].set_visible(False)
        if len(np.unique(groups)) > 1:
            self.figure_.legend(loc="outside right upper", frameon=False, fontsize="small")
        if title is not None:
            ax.set_title(title)
        named = np.arange(len(points)) if len(points) <= MOST_NAMED // 2 else np.flatnonzero(groups == OUTLIER)
        named = named[np.argsort(-np.linalg.norm(points[named], axis=1))]  # the farthest has the first choice
        _place_labels(ax, points, named, [_short(label) for label in self.coordinates.index])
        return self


class DistributionDisplay:
    """How the ratings of one sample are distributed over a grid, and the ratings that there are.

    Parameters
    ----------
    mass : array, shape (n_cells,) or (n_cells, n_cells)
        Mass in each cell.
    edges : array, shape (n_cells + 1,) or (2, n_cells + 1)
        Edges of the cells.
    ratings : array, shape (n_ratings,) or (n_ratings, 2), default=None
        Ratings of the sample.
    outputs : sequence of str, default=("rating",)
        Names of the one or two outputs.

    Attributes
    ----------
    ax_ : Axes
        The panel.
    figure_ : Figure
        The figure.

    Examples
    --------
    >>> from sklearn_annoser.displays import DistributionDisplay
    >>> display = DistributionDisplay.from_grid([0.25, 0.75], [-1, 0, 1], outputs=["valence"])
    >>> display.ax_.get_xlabel()
    'valence'
    """

    ax_: Axes
    figure_: Figure

    def __init__(self, mass: np.ndarray, edges: np.ndarray, ratings: Any = None, outputs: Any = ("rating",)) -> None:
        self.mass, self.edges, self.ratings, self.outputs = mass, edges, ratings, list(outputs)

    @classmethod
    def from_grid(
        cls, mass: Any, edges: Any, *, ratings: Any = None, outputs: Any = None, title: str | None = None
    ) -> DistributionDisplay:
        """Draw a row of what :meth:`AnnotatorMappedRegressor.predict_distribution` returned.

        Parameters
        ----------
        mass : array-like, shape (n_cells,) or (n_cells, n_cells)
            Mass in each cell, for one output or two.
        edges : array-like, shape (n_cells + 1,) or (2, n_cells + 1)
            Edges of the cells.
        ratings : array-like, shape (n_ratings,) or (n_ratings, 2), default=None
            Ratings of the sample, drawn as dots.
        outputs : sequence of str, default=None
            Names of the one or two outputs.
        title : str, default=None
            Title of the panel.

        Returns
        -------
        DistributionDisplay
        """
        mass, edges = check_finite_values("mass", mass), check_finite_values("edges", edges)
        cells = tuple(np.atleast_2d(edges).shape[1] - 1 for _ in range(mass.ndim))
        if mass.shape != cells or len(np.atleast_2d(edges)) != mass.ndim:
            raise ValueError(f"mass of shape {mass.shape} and edges of shape {edges.shape} do not fit.")
        names = ["rating"] if mass.ndim == 1 else ["first output", "second output"]
        dots = None if ratings is None else as_columns(check_finite_values("ratings", ratings))
        return cls(mass, edges, dots, names if outputs is None else outputs).plot(title=title)

    def plot(self, *, ax: Any = None, title: str | None = None) -> DistributionDisplay:
        """Draw bars for one output, colours for two.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the panel.

        Returns
        -------
        DistributionDisplay
        """
        if ax is None:
            _, ax = import_matplotlib().subplots(figsize=(4.6, 3.8), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        if self.mass.ndim == 1:
            ax.bar(self.edges[:-1], self.mass, np.diff(self.edges), align="edge", color=BLUE, edgecolor="white")
            ax.set(xlabel=self.outputs[0], ylabel="share of the ratings")
            if self.ratings is not None:
                height = np.full(len(self.ratings), 0.02 * self.mass.max())
                ax.plot(self.ratings[:, 0], height, "o", color="#D55E00", markersize=7, label="ratings", clip_on=False)
        else:
            image = ax.pcolormesh(self.edges[0], self.edges[1], self.mass.T, cmap="cividis", vmin=0)
            self.figure_.colorbar(image, ax=ax, label="share of the ratings")
            ax.set(xlabel=self.outputs[0], ylabel=self.outputs[1])
            if self.ratings is not None:
                dots = {"markersize": 8, "markeredgecolor": "white", "label": "ratings", "clip_on": False}
                ax.plot(self.ratings[:, 0], self.ratings[:, 1], "o", color="#D55E00", **dots)
        if title is not None:
            ax.set_title(title)
        return self


class ForecastDisplay:
    """Forecasts of the CCC beside what came: means in bins, how often intervals hold, and whom to leave out.

    Parameters
    ----------
    results : DataFrame
        What :func:`~sklearn_annoser.evaluation.check_forecasts` returned.

    Attributes
    ----------
    axes_ : array of Axes, shape (3,)
        Reliability, intervals, and risk against coverage.
    figure_ : Figure
        The figure.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import ForecastDisplay
    >>> expected = np.linspace(0, 1, 40)
    >>> results = pd.DataFrame({"expected": expected, "ccc": expected, "low": expected - 0.1, "high": expected + 0.1})
    >>> display = ForecastDisplay.from_results(results.assign(level=0.8))
    >>> len(display.axes_)
    3
    """

    axes_: np.ndarray
    figure_: Figure

    def __init__(self, results: pd.DataFrame) -> None:
        self.results = results

    @classmethod
    def from_results(cls, results: pd.DataFrame, *, title: str | None = None) -> ForecastDisplay:
        """Draw forecasts.

        Parameters
        ----------
        results : DataFrame
            What :func:`~sklearn_annoser.evaluation.check_forecasts` returned, or several of them.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        ForecastDisplay
        """
        _check_columns(results, ("ccc", "expected", "low", "high", "level"))
        if not len(results):
            raise ValueError("results have no rows: there is nothing to draw.")
        return cls(results).plot(title=title)

    def plot(self, *, axes: Any = None, title: str | None = None) -> ForecastDisplay:
        """Draw the three panels.

        Parameters
        ----------
        axes : array of Axes, shape (3,), default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        ForecastDisplay
        """
        if axes is None:
            _, axes = import_matplotlib().subplots(1, 3, figsize=(10.5, 3.6), layout="constrained")
        self.axes_ = np.atleast_1d(axes)
        self.figure_ = self.axes_[0].figure
        self._plot_reliability(self.axes_[0])
        self._plot_intervals(self.axes_[1])
        self._plot_risk(self.axes_[2])
        if title:
            self.figure_.suptitle(title)
        return self

    def _plot_reliability(self, ax: Axes) -> None:
        """Draw the mean CCC of forecasts in bins of equal size, over a cloud of all."""
        one = self.results[self.results["level"] == self.results["level"].iloc[0]]
        ax.plot(one["expected"], one["ccc"], ".", color=GREY, alpha=min(1, 60 / len(one)), markersize=4)
        n_bins = int(np.clip(len(one) // 20, 1, 10))
        bins = np.array_split(one.sort_values("expected")[["expected", "ccc"]].to_numpy(), n_bins)
        centres = np.array([part.mean(axis=0) for part in bins])
        ax.plot(*centres.T, "o-", color=BLUE, label="mean of a tenth" if n_bins == 10 else "mean of a bin")
        low, high = min(0, centres.min()), max(centres.max(), one["expected"].max())
        ax.axline((0, 0), slope=1, color="black", linewidth=0.8, linestyle="--")
        ax.set(title="Reliability", xlabel="expected CCC", ylabel="CCC on unseen ratings")
        margin = 0.25 * (high - low) + 0.02
        ax.set(xlim=(one["expected"].min() - 0.02, one["expected"].max() + 0.02), ylim=(low - margin, high + margin))
        ax.legend(frameon=False, loc="lower right")

    def _plot_intervals(self, ax: Axes) -> None:
        """Draw how often intervals hold the CCC against how often they say."""
        held = coverage_table(self.results.assign(all=0), by=("all",)).iloc[0]
        stated = held.index.astype(float)
        ax.plot([0, 1], [0, 1], "--", color="black", linewidth=0.8)
        ax.fill_between([0, 1], [-0.05, 0.95], [0.05, 1.05], color=GREY, alpha=0.2, linewidth=0, label="within .05")
        ax.plot(stated, held.to_numpy(), "o-", color=BLUE)
        ax.set(title="Intervals", xlabel="say that they hold", ylabel="hold", xlim=(0, 1), ylim=(0, 1.02))
        ax.legend(frameon=False, loc="upper left")

    def _plot_risk(self, ax: Axes) -> None:
        """Draw the mean CCC of those served against their share."""
        rankings = {"expected": ("by the forecast", BLUE, "-"), "ccc": ("by the CCC itself", GREY, "--")}
        for by, (label, colour, style) in rankings.items():
            curve = risk_coverage(self.results, by=by)
            curve = curve[curve["coverage"] >= 0.1]  # means of a few say nothing
            ax.plot(curve["coverage"], curve["ccc"], style, color=colour, label=label)
        one = self.results[self.results["level"] == self.results["level"].iloc[0]]
        ax.axhline(one["ccc"].mean(), color="black", linewidth=0.8, linestyle=":", label="everybody")
        ax.set(title="Risk and coverage", xlabel="share of annotators served", ylabel="their mean CCC", xlim=(0, 1))
        ax.legend(frameon=False)


def _check_columns(results: pd.DataFrame, needed: tuple[str, ...]) -> None:
    """Raise unless results have some columns."""
    missing = [name for name in needed if name not in results]
    if missing:
        raise ValueError(f"results must have columns {missing}; the columns are {results.columns.tolist()}.")


def _short(label: Any) -> str:
    """Return a label that fits, its middle left out if it is long."""
    text = str(label)
    half = (LONGEST_LABEL - 1) // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]}\u2026{text[-half:]}"


def _groups_of(annotators: pd.Index, clusters: Any) -> np.ndarray:
    """Return the group of each annotator, 0 for all without clusters."""
    if clusters is None:
        return np.zeros(len(annotators), dtype=int)
    if "cluster" not in clusters or not annotators.isin(clusters.index).all():
        raise ValueError("clusters must be indexed by annotator, with each of them, and have a column 'cluster'.")
    return clusters["cluster"].reindex(annotators).to_numpy()


def _group_name(group: int, size: int) -> str:
    """Return what a group is called."""
    return f"outliers ({size})" if group == OUTLIER else f"group {group} ({size})"


def _similar_side_by_side(similarity: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return an order of annotators: group by group, outliers last, in a group by hierarchical clustering."""
    if len(groups) < 3:
        leaves = np.arange(len(groups))
    else:
        distance = (1 - (similarity + similarity.T) / 2).clip(min=0)
        np.fill_diagonal(distance, 0)
        leaves = leaves_list(linkage(squareform(distance, checks=False), "average"))
    places = np.where(groups == OUTLIER, groups.max() + 1, groups)
    return leaves[np.argsort(places[leaves], kind="stable")]


def _group_ticks(groups: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the middle of each group and its name, less those that are too near the one before."""
    found, starts, sizes = np.unique(groups, return_index=True, return_counts=True)
    middles, names, last = [], [], -np.inf
    for start, group, size in sorted(zip(starts, found, sizes, strict=True)):
        middle = start + (size - 1) / 2
        if middle - last >= 0.035 * len(groups):
            middles.append(middle)
            names.append(_group_name(group, size))
            last = middle
    return np.array(middles), names


def _place_labels(ax: Any, points: np.ndarray, named: np.ndarray, names: list[str]) -> None:
    """Write names beside some points where they cover no other name and fewest points; leave out what has no place."""
    ax.figure.draw_without_rendering()  # only then the layout is final
    dots, frame = ax.transData.transform(points), ax.get_window_extent()
    taken: list[Any] = []
    for index in named:
        best, covered = None, np.inf
        for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            text = ax.annotate(
                names[index],
                tuple(points[index]),
                xytext=(6 * across, 6 * up),
                textcoords="offset points",
                ha=("right", "center", "left")[across + 1],
                va=("top", "center", "bottom")[up + 1],
                fontsize=8,
            )
            text.set_in_layout(False)
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            hidden = int(((dots >= box.min) & (dots <= box.max)).all(axis=1).sum())
            if inside and hidden < covered and not any(box.overlaps(other) for other in taken):
                if best is not None:
                    best.remove()
                best, covered = text, hidden
            else:
                text.remove()
        if best is not None:
            taken.append(best.get_window_extent())
