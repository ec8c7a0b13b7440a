"""Packages that only some parts need: loaded when used, with a word on how to get them."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def import_audformat() -> Any:
    """Return audformat."""
    try:
        return import_module("audformat")
    except ImportError as error:
        raise ImportError("A folder of a database needs audformat: pip install audformat.") from error


def import_datasets() -> Any:
    """Return datasets, of Hugging Face."""
    try:
        return import_module("datasets")
    except ImportError as error:
        raise ImportError("A folder of a dataset needs datasets: pip install datasets.") from error


def import_gradio() -> Any:
    """Return gradio, which is told first that it is to call nobody."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return import_module("gradio")
    except ImportError as error:
        raise ImportError("The page needs gradio: pip install 'sklearn-annoser[app]'.") from error


def import_krippendorff() -> Any:
    """Return krippendorff."""
    try:
        return import_module("krippendorff")
    except ImportError as error:
        raise ImportError(
            "Krippendorff's alpha needs krippendorff: pip install 'sklearn-annoser[agreement]'."
        ) from error


def import_matplotlib() -> Any:
    """Return matplotlib.pyplot."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Displays need matplotlib: pip install 'sklearn-annoser[plot]'.") from error
    return plt


def import_pyarrow() -> Any:
    """Return pyarrow."""
    try:
        return import_module("pyarrow")
    except ImportError as error:
        raise ImportError("This table needs pyarrow to be read: pip install pyarrow.") from error


def import_skops_io() -> Any:
    """Return skops.io."""
    try:
        return import_module("skops.io")
    except ImportError as error:
        raise ImportError("Files of models need skops: pip install 'sklearn-annoser[share]'.") from error


def import_soundfile() -> Any:
    """Return soundfile."""
    try:
        return import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: the package is there, the library libsndfile is not
        raise ImportError("Audio files need soundfile: pip install 'sklearn-annoser[audio]'.") from error


def import_soxr() -> Any:
    """Return soxr."""
    try:
        return import_module("soxr")
    except ImportError as error:
        raise ImportError("Resampling needs soxr: pip install 'sklearn-annoser[audio]'.") from error


def import_transformers() -> Any:
    """Return transformers."""
    try:
        return import_module("transformers")
    except ImportError as error:
        raise ImportError("Encoders need transformers: pip install 'sklearn-annoser[audio]'.") from error
