"""The enrollment of one person: which sample is next, what they said, what it tells; without any page."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from sklearn_annoser.enroll_page._files import Values, folder_of, read_ratings_of, write_ratings
from sklearn_annoser.estimators import AnnotatorMapper
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.mapping import Enroller, Forecast, bootstrap_heads, forecast_scores
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.reproduce._files import write_csv
from sklearn_annoser.sharing import save

FIRST = 5  # ratings that tell something
STEP = 5  # ratings after which it is told again what was expected
LITTLE = 0.02  # CCC
ENOUGH = 20  # ratings below which nobody is told to stop


class Pool:
    """Samples that may be rated, and what a fitted model sees in them.

    Parameters
    ----------
    estimator : fitted regressor, or a Pipeline that ends in one
        Who knows the source annotators.
    X : array-like or DataFrame
        The samples, as the estimator takes them.
    labels : sequence of str
        What they are called.
    audio : sequence of str, default=None
        Their sound files.
    texts : sequence of str, default=None
        Their texts.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        labels: Sequence[str],
        *,
        audio: Sequence[str] | None = None,
        texts: Sequence[str] | None = None,
    ) -> None:
        self.estimator, self.X, self.labels = estimator, X, [str(label) for label in labels]
        self.audio, self.texts = audio, texts
        steps, self.regressor = split_source(estimator)
        seen = np.asarray(X if steps is None else steps.transform(X), dtype=np.float32)
        self.hidden = np.concatenate([block for _, block in self.regressor.iter_hidden(seen)])
        self.order = self.regressor.suggest_enrollment(seen, len(seen))


class Told(NamedTuple):
    """What the ratings so far tell."""

    n: int
    similar: Any  # the most similar annotator; None if they do not tell annotators apart
    confidence: float
    expected: pd.DataFrame  # a row an output: score, low, high
    growth: dict[int, float]  # ratings -> the score that was expected after so many, mean over the outputs


class EnrollmentSession:
    """A person who rates: the next sample, their ratings on disk, undo, and what is known so far.

    Parameters
    ----------
    pool : Pool
        What may be rated.
    out : path
        The folder in which each person has an own one.
    annotator : str
        Who rates.
    n : int, default=20
        How many ratings are asked for.
    """

    def __init__(self, pool: Pool, out: Path, annotator: str, *, n: int = 20) -> None:
        self.pool, self.annotator, self.n = pool, annotator.strip(), min(n, len(pool.labels))
        self.folder = folder_of(Path(out), annotator)
        self.path = self.folder / "ratings.csv"
        self.outputs = tuple(pool.regressor.outputs_)
        self._rows = {label: row for row, label in enumerate(pool.labels)}
        self._skipped: list[int] = []
        self._lock = threading.RLock()
        self.ratings, self.mended = read_ratings_of(self.path, self.annotator, self.outputs)
        self.bounds = np.asarray(pool.regressor._unit_scale.bounds)

    @property
    def n_rated(self) -> int:
        """How many samples of the pool have been rated."""
        return len(self.rows)

    @property
    def rows(self) -> list[int]:
        """Rows of the pool that have been rated, in order."""
        return [self._rows[label] for label in self.ratings if label in self._rows]

    @property
    def is_done(self) -> bool:
        """Whether as many have been rated as were asked for, or all there are."""
        return self.n_rated >= self.n or self.next_row() is None

    def next_row(self) -> int | None:
        """Return the row of the next sample to rate, None if there is none."""
        rated = set(self.rows)
        waiting = [int(row) for row in self.pool.order if row not in rated]
        new = [row for row in waiting if row not in self._skipped]
        later = [row for row in self._skipped if row not in rated]
        return next(iter([*new, *later]), None)

    def rate(self, row: int, values: Sequence[float]) -> None:
        """Keep a rating of a sample, on the disk, before anything else happens.

        Parameters
        ----------
        row : int
            Row of the pool.
        values : sequence of float
            One for each output, on the scale of the model.
        """
        given = tuple(float(value) for value in values)
        low, high = self.bounds.T
        if len(given) != len(self.outputs) or not ((given >= low) & (given <= high)).all():
            raise ValueError(f"values must be {len(self.outputs)} numbers on {self.bounds.tolist()}, got {given}.")
        with self._lock:
            changed = self._on_disk()
            changed.pop(self.pool.labels[row], None)  # said again, it comes last
            self._write(changed | {self.pool.labels[row]: given})

    def skip(self, row: int) -> None:
        """Ask for a sample after all others.

        Parameters
        ----------
        row : int
            Row of the pool.
        """
        self._skipped = [each for each in self._skipped if each != row] + [row]

    def undo(self) -> int | None:
        """Take the last rating back.

        Returns
        -------
        int or None
            The row of its sample; None if nothing has been rated.
        """
        with self._lock:
            changed = self._on_disk()
            if not changed:
                return None
            label = list(changed)[-1]
            del changed[label]
            self._write(changed)
        row = self._rows.get(label)
        self._skipped = [each for each in self._skipped if each != row]
        return row

    def _on_disk(self) -> dict[str, Values]:
        """Return what is on the disk now, which another window may have written."""
        return read_ratings_of(self.path, self.annotator, self.outputs)[0]

    def _write(self, ratings: dict[str, Values]) -> None:
        """Write all ratings."""
        write_ratings(self.path, self.annotator, self.outputs, ratings)
        self.ratings = ratings

    def _given(self, n: int | None = None) -> Ratings:
        """Return the first n ratings of the pool, of which most are missing."""
        rows = self.rows[:n]
        values = np.array([self.ratings[self.pool.labels[row]] for row in rows])
        indptr = np.concatenate([[0], np.cumsum(np.isin(np.arange(len(self.pool.labels)), rows))])
        order = np.argsort(rows)
        names: dict[str, Any] = {"annotators": [self.annotator], "outputs": self.outputs}
        return Ratings(indptr, np.zeros(len(rows), dtype=int), values[order], **names)

    def tell(self) -> Told | None:
        """Say what the ratings tell, once there are five.

        Returns
        -------
        Told or None
        """
        if self.n_rated < FIRST:
            return None
        regressor, hidden, rng = self.pool.regressor, self.pool.hidden, np.random.RandomState(0)
        prior = regressor.prior_.with_samples([hidden])
        joint = Enroller(regressor._unit_heads, prior, "joint")
        blend = joint.but(strategy="blend", calibration="affine", min_ratings=1)
        ratings = regressor._unit_scale.to_unit(self._given())
        alike = joint.enrol(hidden, ratings)
        similar, confidence = None, float("nan")
        if alike.mapped.any():
            similar = alike.sources(regressor.annotators_)[0]
            _, confidence = bootstrap_heads(hidden[ratings.rows], regressor._unit_heads, ratings.values, rng=rng)

        def forecast(n: int) -> Forecast:
            some = regressor._unit_scale.to_unit(self._given(n))
            return forecast_scores(blend.enrol(hidden, some), rng=np.random.RandomState(0))

        now = forecast(self.n_rated)
        columns = {"score": now.score[0], "low": now.low[0], "high": now.high[0]}
        growth = {n: float(forecast(n).score.mean()) for n in range(FIRST, self.n_rated, STEP)}
        growth[self.n_rated] = float(now.score.mean())
        return Told(self.n_rated, similar, confidence, pd.DataFrame(columns, index=list(self.outputs)), growth)

    def is_enough(self, told: Told | None) -> bool:
        """Say whether 20 ratings are there and the last five of them changed little in what is expected.

        Parameters
        ----------
        told : Told or None
            What `tell` returned.

        Returns
        -------
        bool
        """
        if told is None or told.n < ENOUGH:
            return False
        before, now = list(told.growth.values())[-2:]
        return abs(now - before) < LITTLE

    def finish(self) -> pd.DataFrame:
        """Map the person, and write predictions.csv and model.skops beside ratings.csv.

        Returns
        -------
        DataFrame
            Predictions of the samples that were not rated: `sample`, and a column for each output.
        """
        if self.n_rated < 2:
            raise ValueError("There are too few ratings: two at least, 15 to 20 are better.")
        mapper = AnnotatorMapper(
            FrozenEstimator(self.pool.estimator), strategy="blend", calibration="affine", random_state=0
        )
        mapper.fit(self.pool.X, self._given())
        predicted = mapper.predict_annotators(self.pool.X, [self.annotator])[:, 0]
        table = pd.DataFrame(predicted, columns=list(self.outputs))
        table.insert(0, "sample", list(self.pool.labels))
        table = table.drop(index=self.rows).reset_index(drop=True)
        save(mapper.of(self.annotator), self.folder / "model.skops")
        with_name = table.assign(annotator=self.annotator)[["sample", "annotator", *self.outputs]]
        write_csv(self.folder / "predictions.csv", with_name, index=False, float_format="%.10g")
        return table
