"""Corpora: readers of those on disk and of annotation tools, writers of small ones, simulated ones with known truth."""

from sklearn_annoser.datasets._argilla import read_argilla
from sklearn_annoser.datasets._audformat import read_audformat
from sklearn_annoser.datasets._dataset import read_dataset
from sklearn_annoser.datasets._files import CorpusError
from sklearn_annoser.datasets._fixtures import write_iemocap, write_msp_improv, write_msp_podcast, write_muse
from sklearn_annoser.datasets._iemocap import read_iemocap
from sklearn_annoser.datasets._label_studio import read_label_studio
from sklearn_annoser.datasets._msp_improv import read_msp_improv
from sklearn_annoser.datasets._msp_podcast import read_msp_podcast
from sklearn_annoser.datasets._mturk import read_mturk
from sklearn_annoser.datasets._muse import read_muse
from sklearn_annoser.datasets._open import read_politeness, read_speechocean762
from sklearn_annoser.datasets._potato import read_potato
from sklearn_annoser.datasets._qualtrics import read_qualtrics
from sklearn_annoser.datasets._simulated import make_corpora
from sklearn_annoser.datasets._table import read_ratings

__all__ = [
    "CorpusError",
    "make_corpora",
    "read_argilla",
    "read_audformat",
    "read_dataset",
    "read_iemocap",
    "read_label_studio",
    "read_msp_improv",
    "read_msp_podcast",
    "read_mturk",
    "read_muse",
    "read_politeness",
    "read_potato",
    "read_qualtrics",
    "read_ratings",
    "read_speechocean762",
    "write_iemocap",
    "write_msp_improv",
    "write_msp_podcast",
    "write_muse",
]
