"""The network: a trunk shared by all annotators, a tower for each output, a linear head for each annotator."""

from sklearn_annoser.network._committee import CommitteeNet
from sklearn_annoser.network._data import BatchLoader, RatingsDataset, ValidationSplit, as_tensor
from sklearn_annoser.network._epoch_bar import EpochBar
from sklearn_annoser.network._loss import CCCLoss, CrossEntropy, mixture_divergence
from sklearn_annoser.network._module import MultiHeadModule
from sklearn_annoser.network._net import MultiHeadNet
from sklearn_annoser.network._optim import LazySGD, clip_gradients
from sklearn_annoser.network._ordered import OrderedModule
from sklearn_annoser.network._torch_state import seeded
from sklearn_annoser.network._tune import held_out_parts, tune

__all__ = [
    "BatchLoader",
    "CCCLoss",
    "CommitteeNet",
    "CrossEntropy",
    "EpochBar",
    "LazySGD",
    "MultiHeadModule",
    "MultiHeadNet",
    "OrderedModule",
    "RatingsDataset",
    "ValidationSplit",
    "as_tensor",
    "clip_gradients",
    "held_out_parts",
    "mixture_divergence",
    "seeded",
    "tune",
]
