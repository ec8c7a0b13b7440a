"""Models of the command line: how one is made, kept in a file, read again, and what it takes."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser._optional import import_skops_io, import_soundfile, import_soxr, import_transformers
from sklearn_annoser.command_line._arguments import check_extras
from sklearn_annoser.encoders import BertEncoder, WavLMEncoder
from sklearn_annoser.encoders._base import FrozenEncoder
from sklearn_annoser.estimators import AnnotatorCommittee, AnnotatorMappedRegressor, AnnotatorMapper, PersonRegressor
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.sharing import load, save

BLEND: dict[str, Any] = {"strategy": "blend", "calibration": "affine"}  # what README recommends


@dataclass(frozen=True)
class Model:
    """A fitted model: that of a corpus, and the people who were mapped to it, if there are any."""

    estimator: Any  # a Pipeline that ends in a regressor or a person's model, or one of these
    mapper: AnnotatorMapper | None = None

    @property
    def person(self) -> PersonRegressor | None:
        """One person's model alone, if it is that."""
        last = self.estimator[-1] if isinstance(self.estimator, Pipeline) else self.estimator
        return last if isinstance(last, PersonRegressor) else None

    @property
    def regressor(self) -> AnnotatorMappedRegressor:
        """What knows the annotators of the corpus."""
        return split_source(self.estimator)[1]

    @property
    def steps(self) -> Pipeline | None:
        """What comes before."""
        return split_source(self.estimator)[0]

    @property
    def serves(self) -> Any:
        """What predicts: the mapper of new people, or the model of the corpus."""
        return self.estimator if self.mapper is None else self.mapper

    @property
    def annotators(self) -> Any:
        """Those whom it predicts."""
        if self.person is not None:
            return ["unnamed" if self.person.annotator_ is None else self.person.annotator_]
        return self.regressor.annotators_ if self.mapper is None else self.mapper.annotators_

    @property
    def scale(self) -> tuple[float, float] | None:
        """The scale that the ratings of the corpus declared, None if they did not."""
        unit = (self.person or self.regressor)._unit_scale
        return (float(unit.bounds[0, 0]), float(unit.bounds[0, 1])) if unit.is_declared else None

    @property
    def bounds(self) -> Any:
        """The lowest and the highest rating of each output, declared or seen."""
        return self.regressor._unit_scale.bounds

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return (self.person or self.regressor).outputs_

    @property
    def encoders(self) -> list[tuple[str, FrozenEncoder]]:
        """The column that each encoder takes, and the encoder."""
        steps = self.estimator.steps if isinstance(self.estimator, Pipeline) else []
        found = []
        for _, step in steps:
            step = step.estimator if isinstance(step, FrozenEstimator) else step
            if isinstance(step, ColumnTransformer):
                for _, each, column in step.transformers_:
                    if isinstance(each, FrozenEncoder):
                        found.append((column if isinstance(column, str) else str(column[0]), each))
        return found

    @property
    def kinds(self) -> dict[str, str]:
        """Columns of X -> "audio" or "text"; nothing if it takes features."""
        return {column: "audio" if encoder.KIND == "speech" else "text" for column, encoder in self.encoders}

    def map(self, X: Any, ratings: Any) -> AnnotatorMapper:
        """Return a mapper of everybody in some ratings."""
        mapper = AnnotatorMapper(FrozenEstimator(self.estimator), **BLEND, random_state=0)
        return mapper.fit(X, ratings)


def new_model(kinds: Mapping[str, str], options: argparse.Namespace, cache: Path) -> Pipeline:
    """Return the recommended model: encoders, a scaler, a committee."""
    shared = {"cache_dir": cache, "n_jobs": options.n_jobs, "verbose": 1}
    encoders = {
        "audio": lambda: WavLMEncoder(options.speech_model, layers=options.speech_layers, **shared),
        "text": lambda: BertEncoder(options.text_model, layers=options.text_layers, **shared),
    }
    steps: list[tuple[str, Any]] = []
    if kinds:
        columns = [(kind, encoders[kind](), column) for column, kind in kinds.items()]
        steps.append(("encoders", ColumnTransformer(columns)))
    committee = AnnotatorCommittee(
        lr=options.lr, max_epochs=options.epochs, min_ratings=options.min_ratings, random_state=options.seed, verbose=1
    )
    return Pipeline([*steps, ("scaler", StandardScaler()), ("committee", committee)])


def check_kinds(kinds: Mapping[str, str]) -> None:
    """Exit if a package that models, audio or text need is not there."""
    audio = [import_soundfile, import_soxr] if "audio" in kinds.values() else []
    check_extras(import_skops_io, *([import_transformers] if kinds else []), *audio)


def save_model(model: Any, path: Path) -> None:
    """Write a model whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, path)


def load_model(path: Path, *, to_predict: bool = False) -> Model:
    """Return the model in a file; one person's model alone serves for nothing but predictions."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no model {str(path)!r}.")
    loaded = load(path)
    if isinstance(loaded, AnnotatorMapper):
        source = loaded.estimator
        return Model(source.estimator if isinstance(source, FrozenEstimator) else source, loaded)
    model = Model(loaded)
    if model.person is None:
        try:
            model.regressor  # noqa: B018
        except (TypeError, NotFittedError) as error:
            raise ValueError(f"{str(path)!r} is no fitted model of annotators: {error}") from error
    elif not to_predict:
        raise ValueError(
            f"{str(path)!r} is the model of {model.person.annotator_!r} alone, who is all that it can predict: "
            "give one that train wrote."
        )
    return model


@contextmanager
def vectors_in(options: argparse.Namespace) -> Iterator[Path]:
    """Give the folder where vectors are kept, or one that is gone afterwards."""
    if not options.no_cache:
        yield options.cache
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def set_encoders(model: Model, options: argparse.Namespace, cache: Path) -> None:
    """Let the encoders of a model keep vectors here, and find their networks where they lie now."""
    for _, encoder in model.encoders:
        encoder.set_params(cache_dir=cache, n_jobs=options.n_jobs, verbose=1)
        given = options.speech_model if encoder.KIND == "speech" else options.text_model
        if given is not None:
            encoder.set_params(model=given)
