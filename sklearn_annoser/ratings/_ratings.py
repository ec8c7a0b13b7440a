"""`Ratings`: the y of subjective annotation - who rated which sample, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser._validation import (
    as_columns,
    check_finite_values,
    check_known,
    check_labels,
    check_number,
    check_option,
    refuse_masks,
)
from sklearn_annoser.ratings._checks import (
    are_equal,
    check_codes,
    check_not_empty,
    check_outputs,
    check_rated_once,
    check_structure,
    check_unique,
)
from sklearn_annoser.ratings._classes import check_classes, decode, encode, refuse_classes
from sklearn_annoser.ratings._consensus import check_everywhere, means, plurality
from sklearn_annoser.ratings._constructors import Constructors
from sklearn_annoser.ratings._index import row_numbers
from sklearn_annoser.ratings._lost import remember_array
from sklearn_annoser.ratings._repr import as_html, as_text
from sklearn_annoser.ratings._scale import check_scale, check_within, rescale
from sklearn_annoser.ratings._standardize import standardize

__all__ = ["CONSENSUS", "Ratings"]

CONSENSUS = "consensus"
ARRAYS = ("indptr", "codes", "_values", "annotators", "samples", "scale", "classes")


class Ratings(Constructors):
    """Ratings of samples by identified annotators, in compressed sparse rows.

    A sample may have any number of ratings, each by another annotator; a rating has a value for each output (activation
    and valence, say), or NaN for outputs that were not rated, but not for all of them. Ratings behave as the `y` of
    scikit-learn: they have a length and a shape, every splitter slices them by sample, and ``np.asarray(ratings)`` is
    the *consensus* - the mean rating of each sample - so that any plain regressor, selector or scorer takes them too.

    Ratings are immutable. Use :meth:`from_long`, :meth:`from_dense` or :meth:`from_rows`; the constructor takes the
    arrays themselves.

    Parameters
    ----------
    indptr : array of int, shape (n_samples + 1,)
        The ratings of sample `i` are ``codes[indptr[i]:indptr[i + 1]]``.
    codes : array of int, shape (n_ratings,)
        Position of each rating's annotator in `annotators`.
    values : array of float, shape (n_ratings,) or (n_ratings, n_outputs)
        The ratings, NaN for an output that was not rated; float32 stays float32, everything else becomes float64.
    annotators : array, shape (n_annotators,)
        Labels, all strings or all numbers, each once.
    outputs : sequence of str, default=None
        Name of each output. None: ``["rating"]``, or ``["rating_0", ...]``.
    samples : array, shape (n_samples,), default=None
        Label of each sample. None: samples are known by their position.
    scale : (low, high) or one such pair for each output, default=None
        The scale on which was rated; a rating outside it is an error.
    classes : array, shape (n_classes,), default=None
        Labels of classes, of which `values` are positions; several outputs share them. Such Ratings have `labels` in
        the place of `values`, and their consensus is the plurality; of classes with equally many votes it is the first
        of these. None: the values are numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser import Ratings
    >>> table = pd.DataFrame({"clip": ["a", "a", "b"], "who": ["ann", "bob", "ann"], "valence": [1.0, 3.0, 5.0]})
    >>> ratings = Ratings.from_long(table, sample="clip", annotator="who", outputs="valence")
    >>> ratings
    Ratings(n_samples=2, n_ratings=3, n_annotators=2, outputs=['valence'])
    >>> ratings.consensus()
    array([2., 5.])
    >>> ratings[[1]].to_long()
      sample annotator  valence
    0      b       ann      5.0
    """

    indptr: np.ndarray
    codes: np.ndarray
    annotators: np.ndarray
    outputs: tuple[str, ...]
    samples: np.ndarray | None
    scale: np.ndarray | None
    classes: np.ndarray | None = None
    _values: np.ndarray

    def __init__(
        self,
        indptr: Any,
        codes: Any,
        values: Any,
        *,
        annotators: Any,
        outputs: Sequence[str] | None = None,
        samples: Any = None,
        scale: Any = None,
        classes: Any = None,
    ) -> None:
        values = as_columns(check_finite_values("values", values, allow_nan=True))
        if not values.size:
            raise ValueError("there are no ratings: Ratings need at least one, with at least one output.")
        check_not_empty(values)
        indptr, codes = check_structure(indptr, codes, len(values))
        annotators = check_labels("annotators", annotators)
        check_unique("annotators", annotators)
        check_codes(codes, annotators)
        outputs = check_outputs(outputs, values.shape[1])
        classes = check_classes(classes, values, scale)
        scale = check_scale(scale, len(outputs))
        check_within(values, scale, outputs)
        if samples is not None:
            samples = check_labels("samples", samples)
            if len(samples) != len(indptr) - 1:
                raise ValueError(f"samples has {len(samples)} labels, but indptr describes {len(indptr) - 1} samples.")

        rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        order = np.lexsort((codes, rows))
        codes, values = codes[order], values[order]
        check_rated_once(rows, codes, annotators)
        arrays = {"indptr": indptr, "codes": codes.astype(np.int32), "_values": values, "annotators": annotators}
        self._set(**arrays, samples=samples, scale=scale, classes=classes, outputs=outputs)

    def _set(self, *, outputs: tuple[str, ...], **arrays: np.ndarray | None) -> Ratings:
        """Fill in the outputs' names and all arrays, which are right already, and lock these."""
        for name, array in arrays.items():
            if array is not None:
                array = array.view()
                array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "outputs", outputs)
        return self

    def _replace(self, **changes: Any) -> Ratings:
        """Return Ratings with some arrays replaced by others that are right already."""
        return object.__new__(Ratings)._set(**self.__dict__ | changes)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Ratings are immutable: {name} cannot be set. Build new Ratings instead.")

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set(**{"_values" if name == "values" else name: each for name, each in state.items()})  # of 0.1.0

    # ------------------------------------------------------------------ as a y of scikit-learn

    @property
    def n_samples(self) -> int:
        """Number of samples, rated or not."""
        return len(self.indptr) - 1

    @property
    def n_ratings(self) -> int:
        """Number of ratings."""
        return len(self.codes)

    @property
    def n_annotators(self) -> int:
        """Number of annotators, also of those without a rating here."""
        return len(self.annotators)

    @property
    def n_outputs(self) -> int:
        """Number of values that a rating has."""
        return len(self.outputs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the consensus: (n_samples,) for one output, else (n_samples, n_outputs)."""
        return (self.n_samples,) if self.n_outputs == 1 else (self.n_samples, self.n_outputs)

    @property
    def ndim(self) -> int:
        """Number of dimensions of the consensus."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the ratings take, labels aside."""
        return self.indptr.nbytes + self.codes.nbytes + self.values.nbytes

    def __len__(self) -> int:
        return self.n_samples

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("the consensus is computed, so Ratings cannot become an array without a copy.")
        array = self.consensus()
        if self.classes is None:
            check_everywhere(as_columns(array), self.outputs)
        remember_array(self)
        return array.astype(array.dtype if dtype is None else dtype, copy=False)

    def __getitem__(self, key: Any) -> Ratings:
        rows = row_numbers(key, self.n_samples)
        counts = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], counts.cumsum()])
        take = np.repeat(self.indptr[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
        samples = None if self.samples is None else self.samples[rows]
        return self._replace(indptr=indptr, codes=self.codes[take], _values=self._values[take], samples=samples)

    def __iter__(self) -> Iterator[Ratings]:
        return (self[row] for row in range(self.n_samples))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ratings):
            return NotImplemented
        same = (are_equal(getattr(self, name), getattr(other, name)) for name in ARRAYS)
        return self.outputs == other.outputs and all(same)

    __hash__ = None  # type: ignore[assignment]

    # ------------------------------------------------------------------ what is in them

    @property
    def rows(self) -> np.ndarray:
        """Position of each rating's sample, (n_ratings,)."""
        return np.repeat(np.arange(self.n_samples), np.diff(self.indptr))

    @property
    def values(self) -> np.ndarray:
        """The ratings as numbers, (n_ratings, n_outputs); Ratings of classes have none."""
        refuse_classes("these", self)
        return self._values

    @property
    def labels(self) -> np.ndarray:
        """Class of each rating, (n_ratings,) or (n_ratings, n_outputs), None where an output is not rated."""
        if self.classes is None:
            raise TypeError("these Ratings are numbers: make them with classes=True, if the numbers are classes.")
        labels = decode(self._values, self.classes)
        return labels[:, 0] if self.n_outputs == 1 else labels

    def consensus(self) -> np.ndarray:
        """Mean rating of each sample; of classes the one that most annotators gave, the first of several.

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_outputs)
            NaN where a sample has no rating. If there are classes that is an error.
        """
        found = self._consensus()
        if self.classes is not None:
            check_everywhere(found, self.outputs)
        return decode(found, self.classes).reshape(self.shape)

    def _consensus(self) -> np.ndarray:
        """Return the mean, or the position of the class with most votes, (n_samples, n_outputs); NaN without any."""
        if self.classes is None:
            return means(self.rows, self._values, self.n_samples)
        shape = self.n_samples, len(self.classes)
        return np.stack([plurality(self.rows, column, shape) for column in self._values.T], axis=1)

    @property
    def is_complete(self) -> bool:
        """Whether every rating has a value for every output."""
        return not np.isnan(self._values).any()

    def counts(self, by: str = "annotator") -> pd.Series:
        """Count the ratings of each annotator or of each sample, with all outputs or some.

        Parameters
        ----------
        by : {"annotator", "sample"}, default="annotator"
            What to count by.

        Returns
        -------
        Series of int
            Indexed by annotator, or by sample.
        """
        if check_option("by", by, ("annotator", "sample")) == "sample":
            return pd.Series(np.diff(self.indptr), index=self._sample_labels(), name="n_ratings")
        counted = np.bincount(self.codes, minlength=self.n_annotators)
        return pd.Series(counted, index=self.annotators, name="n_ratings")

    def of(self, annotator: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return what one annotator rated, and how.

        Parameters
        ----------
        annotator : label
            One of `annotators`.

        Returns
        -------
        rows : array of int, shape (n,)
            Positions of the rated samples.
        values : array, shape (n,) or (n, n_outputs)
            The ratings, 1-D for one output; or their classes.
        """
        code = check_known("annotator", [annotator], self.annotators, "these ratings")[0]
        mask = self.codes == code
        values = decode(self._values[mask], self.classes)
        return self.rows[mask], values[:, 0] if self.n_outputs == 1 else values

    def keep_annotators(self, annotators: Any = None, *, min_ratings: int = 1) -> Ratings:
        """Keep the ratings of some annotators only; the samples stay.

        Parameters
        ----------
        annotators : array-like of labels, default=None
            Whom to keep. None: everybody.
        min_ratings : int, default=1
            Drop annotators with fewer ratings than this.

        Returns
        -------
        Ratings
            With the same samples, some of which may have no rating any more.
        """
        check_number("min_ratings", min_ratings, low=0, integer=True)
        keep = np.bincount(self.codes, minlength=self.n_annotators) >= min_ratings
        if annotators is not None:
            asked = check_known("annotator", annotators, self.annotators, "these ratings")
            keep &= np.isin(np.arange(self.n_annotators), asked)
        if keep.all():
            return self
        kept = self.keep_ratings(keep[self.codes])
        codes = (keep.cumsum() - 1).astype(np.int32)[kept.codes]
        return kept._replace(codes=codes, annotators=self.annotators[keep])

    def keep_ratings(self, mask: Any) -> Ratings:
        """Keep some ratings only; the samples and the list of annotators stay.

        Parameters
        ----------
        mask : array-like of bool, shape (n_ratings,)
            Which ratings, in the order of `values`.

        Returns
        -------
        Ratings
        """
        mask = np.asarray(refuse_masks("mask", mask))
        if mask.dtype != bool or mask.shape != (self.n_ratings,):
            raise ValueError(
                f"mask must be boolean, one for each of the {self.n_ratings} ratings, got dtype {mask.dtype} and shape "
                f"{mask.shape}."
            )
        indptr = np.concatenate([[0], mask.cumsum()])[self.indptr]
        return self._replace(indptr=indptr, codes=self.codes[mask], _values=self._values[mask])

    def as_consensus(self) -> Ratings:
        """Return the consensus as the ratings of a single annotator, named "consensus"."""
        rated = np.diff(self.indptr) > 0
        values = self._consensus()[rated].astype(self._values.dtype)
        return self._replace(
            indptr=np.concatenate([[0], rated.cumsum()]),
            codes=np.zeros(len(values), dtype=np.int32),
            _values=values,
            annotators=np.array([CONSENSUS]),
        )

    def rescaled(self, to: tuple[float, float] = (-1.0, 1.0)) -> Ratings:
        """Map the declared scale linearly to another one.

        Parameters
        ----------
        to : (low, high), default=(-1, 1)
            The new scale.

        Returns
        -------
        Ratings
        """
        values, scale = rescale(self.values, self.scale, to)
        return self._replace(_values=values, scale=scale)

    def standardized(self, *, n_worth: float = 10) -> Ratings:
        """Take each annotator's mean from their ratings, and divide by their deviation: what is left is their order.

        Both are those of the annotator's ratings and of `n_worth` more with the mean and the variance of everybody's,
        so that few ratings are not taken at their word.

        Parameters
        ----------
        n_worth : float, default=10
            How many ratings the mean and the variance of everybody are worth.

        Returns
        -------
        Ratings
            Without a declared scale. Standardize source and target both, each for itself, and never across a split.

        Examples
        --------
        >>> from sklearn_annoser import Ratings
        >>> Ratings.from_dense([[1, 5], [3, 7]]).standardized(n_worth=0).values.ravel()
        array([-1., -1.,  1.,  1.])
        """
        check_number("n_worth", n_worth, low=0)
        return self._replace(_values=standardize(self.values, self.codes, n_worth), scale=None)

    def with_values(self, values: Any, *, classes: Any = None) -> Ratings:
        """Return Ratings of the same samples by the same annotators with other values: numbers without a scale.

        Parameters
        ----------
        values : array-like, shape (n_ratings,) or (n_ratings, n_outputs)
            The new values, in the order of `values`; NaN where an output is not rated.
        classes : True or array-like of labels, default=None
            As for :meth:`from_long`.

        Returns
        -------
        Ratings
        """
        if classes is not None:
            values, classes = encode("values", values, classes)
        array = as_columns(check_finite_values("values", values, allow_nan=True))
        if array.shape != self._values.shape:
            raise ValueError(f"values must have shape {self._values.shape}, got {array.shape}.")
        return self.with_outputs(array, self.outputs)._replace(classes=check_classes(classes, array, None))

    def with_outputs(self, values: Any, outputs: Sequence[str]) -> Ratings:
        """Return Ratings of the same samples by the same annotators with other outputs: numbers without a scale.

        Parameters
        ----------
        values : array-like, shape (n_ratings, n_outputs)
            The new values, in the order of `values`.
        outputs : sequence of str
            Their names.

        Returns
        -------
        Ratings
        """
        array = as_columns(check_finite_values("values", values, allow_nan=True))
        if len(array) != self.n_ratings:
            raise ValueError(f"values must be of {self.n_ratings} ratings, got {len(array)}.")
        check_not_empty(array)
        outputs = check_outputs(outputs, array.shape[1])
        return self._replace(_values=array.copy(), outputs=outputs, scale=None, classes=None)

    def to_long(self, *, sample: str = "sample", annotator: str = "annotator") -> pd.DataFrame:
        """Return a table with one row a rating.

        Parameters
        ----------
        sample, annotator : str, default="sample" and "annotator"
            Names of the first two columns.

        Returns
        -------
        DataFrame
            Columns: sample (its position if samples have no labels), annotator, and one for each output.
        """
        if len({sample, annotator, *self.outputs}) < 2 + self.n_outputs:
            raise ValueError(
                f"two columns would have the same name: sample={sample!r}, annotator={annotator!r}, outputs "
                f"{list(self.outputs)}. Give other names to to_long."
            )
        columns: dict[str, Any] = {
            sample: self._sample_labels()[self.rows],
            annotator: self.annotators[self.codes],
        }
        values = decode(self._values, self.classes)
        return pd.DataFrame(columns | dict(zip(self.outputs, values.T, strict=True)))

    def to_dense(self) -> np.ndarray:
        """Return an array with one column an annotator, NaN where an annotator did not rate.

        Returns
        -------
        array, shape (n_samples, n_annotators) or (n_samples, n_annotators, n_outputs)
            Mind its size: it does not grow with the ratings but with samples times annotators. Classes are objects,
            None where an annotator did not rate.
        """
        dense = np.full((self.n_samples, self.n_annotators, self.n_outputs), np.nan, dtype=self._values.dtype)
        dense[self.rows, self.codes] = self._values
        dense = decode(dense, self.classes)
        return dense[:, :, 0] if self.n_outputs == 1 else dense

    def _sample_labels(self) -> np.ndarray:
        """Return the samples' labels, or their positions."""
        return np.arange(self.n_samples) if self.samples is None else self.samples

    # ------------------------------------------------------------------ what is shown

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)
