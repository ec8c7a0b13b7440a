"""Which types a file may name: ours, and what skops itself trusts of scikit-learn, numpy and scipy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["check_trusted", "trusted_types"]

OURS = (
    "_state.Table",
    "encoders._speech.SpeechEncoder",
    "encoders._speech.WavLMEncoder",
    "encoders._text.BertEncoder",
    "encoders._text.TextEncoder",
    "estimators._class_link.ClassLink",
    "estimators._class_network.ClassRegressor",
    "estimators._classifier.AnnotatorMappedClassifier",
    "estimators._committee.AnnotatorCommittee",
    "estimators._mapper.AnnotatorMapper",
    "estimators._person.PersonClassifier",
    "estimators._person.PersonRegressor",
    "estimators._regressor.AnnotatorMappedRegressor",
    "estimators._unit_scale.UnitScale",
    "mapping._persons.Persons",
    "mapping._prior.Prior",
    "metrics._annotators.consensus_ccc_score",
    "metrics._annotators.individual_ccc_score",
    "metrics._ccc.ccc_score",
    "metrics._scorers.RatingsScorer",
    "network._committee.CommitteeNet",
    "network._data.ValidationSplit",
    "network._epoch_bar.EpochBar",
    "network._loss.CrossEntropy",
    "network._net.MultiHeadNet",
    "network._ordered.OrderedModule",
    "ratings._ratings.Ratings",
)

# What searches hold: numbers, and the name of a function that is a type to be trusted of its own.
SEARCHES = (
    "metrics._scorer._PassthroughScorer",
    "metrics._scorer._Scorer",
    "model_selection._split.GroupKFold",
    "model_selection._split.GroupShuffleSplit",
    "model_selection._split.KFold",
    "model_selection._split.LeaveOneGroupOut",
    "model_selection._split.PredefinedSplit",
    "model_selection._split.ShuffleSplit",
    "model_selection._split.StratifiedGroupKFold",
    "model_selection._split.StratifiedKFold",
    "utils._metadata_requests.MetadataRequest",
    "utils._metadata_requests.MethodMetadataRequest",
)


def trusted_types() -> list[str]:
    """Return the names of the types that a file of ours may hold, for ``skops.io.load(file, trusted=...)``.

    They hold arrays, numbers and text, and networks of our own that are made of these; of scikit-learn the scorers and
    the splitters are among them, which searches hold, and not what skops trusts anyway.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from sklearn_annoser.sharing import trusted_types
    >>> "sklearn_annoser.estimators._mapper.AnnotatorMapper" in trusted_types()
    True
    """
    return [*(f"sklearn_annoser.{name}" for name in OURS), *(f"sklearn.{name}" for name in SEARCHES)]


def check_trusted(trusted: Any) -> list[Any]:
    """Return the types that somebody trusts beside ours: names, or the types themselves."""
    if isinstance(trusted, (str, bytes, bool, type)) or not isinstance(trusted, Iterable):
        raise TypeError(
            f"trusted must be a list of types, or of their names, such as ['my_package.my_module.MyScaler'], got "
            f"{trusted!r}."
        )
    found = list(trusted)
    wrong = [each for each in found if not isinstance(each, (str, type))]
    if wrong:
        raise TypeError(f"trusted must hold types, or their names, got {wrong[0]!r} of type {type(wrong[0]).__name__}.")
    return found
