"""How `Ratings` are made of a table with one row a rating, of a dense array, of one rating a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from sklearn_annoser._validation import as_objects, check_finite_values, check_known, check_labels, check_option
from sklearn_annoser.ratings._checks import check_not_empty, check_unique
from sklearn_annoser.ratings._classes import encode
from sklearn_annoser.ratings._join import check_joinable, joined_codes, values_of
from sklearn_annoser.ratings._samples import warn_of_order
from sklearn_annoser.ratings._tables import as_frame, is_table, labels_of_index

R = TypeVar("R")
DUPLICATES = ("error", "mean", "first", "last")


class Constructors:
    """Constructors for a class that is itself called with the arrays: indptr, codes, values."""

    @classmethod
    def from_long(
        cls: Callable[..., R],
        frame: Any,
        *,
        sample: str = "sample",
        annotator: str = "annotator",
        outputs: str | Sequence[str],
        samples: Any = None,
        duplicates: str = "error",
        scale: Any = None,
        classes: Any = None,
    ) -> R:
        """Make Ratings from a table with one row a rating.

        Parameters
        ----------
        frame : table
            A DataFrame of pandas, polars or narwhals, a table of Arrow, a Dataset of Hugging Face, a dict of columns,
            or anything with `__arrow_c_stream__` or `__dataframe__`.
        sample, annotator : str, default="sample" and "annotator"
            Columns that name the rated sample and the annotator.
        outputs : str or sequence of str
            Columns with the ratings, one for each output; NaN where an output was not rated.
        samples : array-like, shape (n_samples,), default=None
            The samples in the order of the features' rows, each once. A sample without ratings is allowed, a rating of
            a sample that is not listed is an error. None: the samples in order of their first rating, with a warning
            if the table is in no order.
        duplicates : {"error", "mean", "first", "last"}, default="error"
            What to do where an annotator rated the same sample more than once: the mean of each output, or the whole
            of the first or the last row in the table's order.
        scale : (low, high) or one such pair for each output, default=None
            The scale on which was rated; a rating outside it is an error.
        classes : True or array-like of labels, default=None
            The ratings are classes, strings or numbers: one of these, or True for those that are there, sorted or in
            the order of ordered categoricals. Outputs share them. None: they are numbers.

        Returns
        -------
        Ratings

        Raises
        ------
        TypeError
            `frame` is no table, or a rating is no number.
        ValueError
            A column is missing or there twice, a rating is NaN in all outputs, infinite or outside the scale, a sample
            is not listed, or an annotator rated a sample twice.
        """
        check_option("duplicates", duplicates, DUPLICATES)
        outputs = [outputs] if isinstance(outputs, str) else list(outputs)
        frame = as_frame("frame", frame)
        _check_columns(frame, [sample, annotator, *outputs])
        if frame.empty:
            raise ValueError("there are no ratings: frame has no rows.")
        if classes is None:
            values = check_finite_values("ratings", frame[outputs].to_numpy(), allow_nan=True)
        elif duplicates == "mean":
            raise ValueError('classes have no mean: duplicates must be "error", "first" or "last", got "mean".')
        else:
            values, classes = encode("ratings", frame[outputs], classes)
        check_not_empty(values)
        codes, labels = pd.factorize(check_labels(f"column {annotator!r}", frame[annotator]), sort=True)
        rated = check_labels(f"column {sample!r}", frame[sample])
        if samples is None:
            rows, samples = pd.factorize(rated)
            warn_of_order(rows, samples)
        else:
            samples = check_labels("samples", samples)
            check_unique("samples", samples)
            rows = check_known("rated sample", rated, samples, "`samples`")

        rows, codes, values = _merge_duplicates(rows, codes, values, labels, samples, duplicates)
        indptr = np.concatenate([[0], np.bincount(rows, minlength=len(samples)).cumsum()])
        names = {"annotators": labels, "outputs": outputs, "samples": samples}
        return cls(indptr, codes, values, **names, scale=scale, classes=classes)

    @classmethod
    def from_dense(
        cls: Callable[..., R],
        values: Any,
        *,
        annotators: Any = None,
        outputs: Sequence[str] | None = None,
        samples: Any = None,
        scale: Any = None,
        classes: Any = None,
    ) -> R:
        """Make Ratings from an array with one column an annotator, NaN where an annotator did not rate.

        Parameters
        ----------
        values : array-like, shape (n_samples, n_annotators) or (n_samples, n_annotators, n_outputs)
            The ratings; NaN or None where an annotator did not rate a sample, or one of its outputs. Or a table, of any
            kind that :meth:`from_long` takes.
        annotators : array-like, shape (n_annotators,), default=None
            Labels of the columns. None: the columns of a table, else 0, 1, ...
        outputs : sequence of str, default=None
            Name of each output.
        samples : array-like, shape (n_samples,), default=None
            Label of each sample. None: the index of a DataFrame, unless it only counts rows.
        scale : (low, high) or one such pair for each output, default=None
            The scale on which was rated.
        classes : True or array-like of labels, default=None
            As for :meth:`from_long`.

        Returns
        -------
        Ratings
        """
        values, columns, index = _with_names("values", values, samples is None)
        annotators = columns if annotators is None else annotators
        samples = index if samples is None else samples
        if classes is None:
            array = check_finite_values("values", values, max_ndim=3, allow_nan=True)
        else:
            array, classes = encode("values", values, classes)
        if array.ndim not in (2, 3):
            raise ValueError(
                f"values must have shape (n_samples, n_annotators) or (n_samples, n_annotators, n_outputs), got "
                f"{array.shape}."
            )
        array = array[:, :, None] if array.ndim == 2 else array
        annotators = np.arange(array.shape[1]) if annotators is None else check_labels("annotators", annotators)
        if len(annotators) != array.shape[1]:
            raise ValueError(f"values has {array.shape[1]} columns, but there are {len(annotators)} annotators.")
        rows, codes = np.nonzero(~np.isnan(array).all(axis=2))
        indptr = np.concatenate([[0], np.bincount(rows, minlength=len(array)).cumsum()])
        names = {"annotators": annotators, "outputs": outputs, "samples": samples}
        return cls(indptr, codes, array[rows, codes], **names, scale=scale, classes=classes)

    @classmethod
    def from_rows(
        cls: Callable[..., R],
        values: Any,
        annotators: Any,
        *,
        outputs: Sequence[str] | None = None,
        samples: Any = None,
        scale: Any = None,
        classes: Any = None,
    ) -> R:
        """Make Ratings of which each sample has exactly one.

        All other parameters are those of :meth:`from_dense`, with the same defaults.

        Parameters
        ----------
        values : array-like, shape (n_samples,) or (n_samples, n_outputs)
            The one rating of each sample, NaN for an output that was not rated.
        annotators : array-like, shape (n_samples,), or a single label
            Who gave it.
        outputs : sequence of str, default=None
            Name of each output. None: the columns of a table, or the default names.

        Returns
        -------
        Ratings
        """
        values, columns, index = _with_names("values", values, samples is None)
        samples = index if samples is None else samples
        outputs = [str(column) for column in columns] if outputs is None and columns is not None else outputs
        if classes is None:
            values = check_finite_values("values", values, allow_nan=True)
        else:
            values, classes = encode("values", values, classes)
        if as_objects("annotators", annotators).ndim == 0:
            codes, labels = np.zeros(len(values), dtype=np.intp), check_labels("annotators", [annotators])
        else:
            codes, labels = pd.factorize(check_labels("annotators", annotators), sort=True)
        if len(codes) != len(values):
            raise ValueError(f"there are {len(values)} ratings, but {len(codes)} annotators: give one for each rating.")
        names = {"annotators": labels, "outputs": outputs, "samples": samples}
        return cls(np.arange(len(values) + 1), codes, values, **names, scale=scale, classes=classes)

    @classmethod
    def concat(cls: Callable[..., R], ratings: Any, *, duplicates: str = "error") -> R:
        """Join Ratings: of other samples, by other annotators, or both.

        Samples with labels are the same sample where the labels are equal, and in the order in which they come first;
        samples without labels are all different ones, in the order of `ratings`.

        Parameters
        ----------
        ratings : sequence of Ratings
            What to join, with the same outputs and the same scale.
        duplicates : {"error", "mean", "first", "last"}, default="error"
            What to do where an annotator rated the same sample in several of them.

        Returns
        -------
        Ratings

        Raises
        ------
        TypeError
            Something is no Ratings, or labels are strings in one and numbers in another.
        ValueError
            There is nothing to join, outputs or scales differ, samples have labels in some only or one of them twice.

        Examples
        --------
        >>> from sklearn_annoser import Ratings
        >>> known = Ratings.from_dense([[1, 2], [3, 4]], annotators=["ann", "bob"], samples=["a", "b"])
        >>> new = Ratings.from_rows([5, 1], "eve", samples=["b", "c"])
        >>> Ratings.concat([known, new]).to_dense()
        array([[ 1.,  2., nan],
               [ 3.,  4.,  5.],
               [nan, nan,  1.]])
        """
        check_option("duplicates", duplicates, DUPLICATES)
        parts, classes = check_joinable(ratings)
        outputs, named = parts[0].outputs, parts[0].samples is not None
        if classes is not None and duplicates == "mean":
            raise ValueError('classes have no mean: duplicates must be "error", "first" or "last", got "mean".')
        who, labels = joined_codes("annotators", [part.annotators for part in parts])
        codes = np.concatenate([places[part.codes] for places, part in zip(who, parts, strict=True)])
        if named:
            places, samples = joined_codes("samples", [part.samples for part in parts])
        else:
            samples = np.arange(sum(part.n_samples for part in parts))
            places = np.split(samples, np.cumsum([part.n_samples for part in parts])[:-1])
        rows = np.concatenate([place[part.rows] for place, part in zip(places, parts, strict=True)])
        values = np.concatenate([values_of(part, outputs, classes) for part in parts])
        rows, codes, values = _merge_duplicates(rows, codes, values, labels, samples, duplicates)
        indptr = np.concatenate([[0], np.bincount(rows, minlength=len(samples)).cumsum()])
        names = {"annotators": labels, "outputs": outputs, "samples": samples if named else None}
        return cls(indptr, codes, values, **names, scale=parts[0].scale, classes=classes)


def _with_names(name: str, values: Any, wants_index: bool) -> tuple[Any, Any, Any]:
    """Return values, a table as a DataFrame, its columns' names and what its index names, or None."""
    values = as_frame(name, values) if is_table(values) else values
    columns = values.columns if isinstance(values, pd.DataFrame) else None
    return values, columns, labels_of_index(name, values) if wants_index else None


def _check_columns(frame: pd.DataFrame, columns: list[str]) -> None:
    """Raise unless a DataFrame has each of `columns` exactly once."""
    if len(set(columns)) != len(columns):
        raise ValueError(f"sample, annotator and outputs must be different columns, got {columns}.")
    for column in columns:
        n_found = int((frame.columns == column).sum())
        if n_found == 0:
            raise ValueError(f"there is no column {column!r}. The columns are {frame.columns.tolist()}.")
        if n_found > 1:
            raise ValueError(f"column {column!r} is there {n_found} times. Rename or drop all but one.")


def _merge_duplicates(
    rows: np.ndarray, codes: np.ndarray, values: np.ndarray, labels: np.ndarray, samples: np.ndarray, duplicates: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort ratings by sample and annotator; of those given twice take the mean or one, or refuse them."""
    order = np.lexsort((codes, rows))
    rows, codes, values = rows[order], codes[order], values[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (np.diff(rows) != 0) | (np.diff(codes) != 0)
    if first.all():
        return rows, codes, values
    if duplicates == "error":
        again = np.flatnonzero(~first)
        (who,), (what,) = labels[codes[again[:1]]].tolist(), samples[rows[again[:1]]].tolist()
        raise ValueError(
            f"{len(again)} ratings are by an annotator who rated the same sample before, for example annotator "
            f'{who!r} and sample {what!r}. duplicates="last" or "first" takes one of them, "mean" averages them.'
        )
    if duplicates in ("first", "last"):  # the sort was stable: those of a pair are in the table's order
        kept = first if duplicates == "first" else np.append(first[1:], True)
        return rows[kept], codes[kept], values[kept]
    group = first.cumsum() - 1
    given = np.isfinite(values)
    sums = np.stack([np.bincount(group, column) for column in np.where(given, values, 0).T], axis=1)
    counts = np.stack([np.bincount(group, column) for column in given.T], axis=1)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return rows[first], codes[first], means.astype(values.dtype)
