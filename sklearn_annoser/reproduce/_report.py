"""The report: tables, pictures, and a page that shows them all."""

from __future__ import annotations

import base64
import html
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from sklearn_annoser._optional import import_matplotlib
from sklearn_annoser.displays import AnnotatorMapDisplay, EnrollmentDisplay, StrategyDisplay
from sklearn_annoser.reproduce._published import compare_published

__all__ = ["summarize_levels", "write_report"]

STYLE = """<style>body{font-family:sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:85%}th,td{padding:.25em .6em;border-bottom:1px solid #ddd;text-align:right}
img{max-width:100%}</style>"""


def write_report(results: pd.DataFrame, out: str | os.PathLike[str]) -> Path:
    """Write tables, pictures and a page that shows them all.

    Parameters
    ----------
    results : DataFrame
        What :func:`reproduce` returned.
    out : path
        Folder.

    Returns
    -------
    Path
        Of report.html.
    """
    out = Path(out)
    parts = ["<h1>Modelling annotators across corpora</h1>", f"<p>{html.escape(_summary(results))}</p>"]
    published = compare_published(results)
    if len(published):
        published.to_csv(out / "published.csv", index=False)
        parts += ["<h2>Beside the published numbers</h2>", published.round(3).to_html(index=False)]
    for size in pd.unique(results["n_enrollment"]):
        table = summarize_levels(results, n_enrollment=size)
        table.to_csv(out / f"ccc_{size}.csv")
    parts += ["<h2>CCC, all ratings of the training split enrolled: mean and standard deviation over runs</h2>"]
    parts += [summarize_levels(results).round(3).to_html()]
    plt = import_matplotlib()
    for name, figure in _figures(results):
        path = out / "figures" / f"{slug(name)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
        parts += [f"<h2>{html.escape(name)}</h2>", _image(figure)]
        plt.close(figure)  # pyplot keeps it otherwise
    page = f"<!doctype html><html><head><meta charset='utf-8'><title>Report</title>{STYLE}</head><body>"
    (out / "report.html").write_text(page + "\n".join(parts) + "</body></html>", encoding="utf-8")
    return out / "report.html"


def summarize_levels(results: pd.DataFrame, *, n_enrollment: Any = "all") -> pd.DataFrame:
    """Average over annotators, then over runs: mean CCC and its standard deviation.

    Parameters
    ----------
    results : DataFrame
        What :func:`reproduce` returned.
    n_enrollment : int or "all", default="all"
        Which enrollment size.

    Returns
    -------
    DataFrame
        A row for each level and strategy, columns (target, output, "mean" or "std").
    """
    some = results[results["n_enrollment"].astype(str) == str(n_enrollment)]
    runs = some.groupby(["level", "strategy", "target", "output", "seed", "fold"], sort=False)["ccc"].mean()
    table = runs.groupby(["level", "strategy", "target", "output"], sort=False).agg(["mean", "std"])
    return pd.DataFrame(table.stack().unstack(["target", "output", -1]))


def slug(name: str) -> str:
    """Return a name that a file may have."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _summary(results: pd.DataFrame) -> str:
    """Return what was run, in a sentence."""
    own = results[results["level"] == "individual"]
    counts = own.groupby("target", sort=False)["annotator"].nunique()
    targets = ", ".join(f"{name} ({n} annotators)" for name, n in counts.items())
    return f"{results['seed'].nunique()} seeds, {results['fold'].nunique()} folds; {targets}."


def _figures(results: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """Yield the pictures, one after the other."""
    for target, some in results.groupby("target", sort=False):
        if some["strategy"].str.endswith("in domain").any():
            continue
        name = str(target)
        own = some[(some["level"] == "individual") & (some["n_enrollment"].astype(str) == "all")]
        yield f"{name}: CCC with each annotator", StrategyDisplay.from_results(own, title=name).figure_
        sized = some[~some["strategy"].str.contains("fine-tuned")]
        if sized["n_enrollment"].astype(str).nunique() > 1:
            yield f"{name}: CCC by enrollment ratings", EnrollmentDisplay.from_results(sized, title=name).figure_
        if own.loc[own["strategy"] == "mapped", "source"].notna().any():
            yield f"{name}: who is mapped to whom", AnnotatorMapDisplay.from_results(own, title=name).figure_


def _image(figure: Any) -> str:
    """Return a picture as HTML that needs no file beside it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"<img alt='' src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"
