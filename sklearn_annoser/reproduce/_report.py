"""The report: tables, pictures, and a page that shows them all."""

from __future__ import annotations

import base64
import html
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from sklearn_annoser._optional import import_matplotlib
from sklearn_annoser.displays import AnnotatorMapDisplay, EnrollmentDisplay, StrategyDisplay
from sklearn_annoser.reproduce._files import file_names, write_csv, write_text, written_aside
from sklearn_annoser.reproduce._published import compare_published

__all__ = ["summarize_levels", "write_report"]

IN_DOMAIN = ("own head, in domain", "aggregate, in domain")
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
        write_csv(out / "published.csv", published, index=False)
        parts += ["<h2>Beside the published numbers</h2>", published.round(3).to_html(index=False)]
    for size in pd.unique(results["n_enrollment"]):
        write_csv(out / f"ccc_{size}.csv", summarize_levels(results, n_enrollment=size))
    for size in _main_sizes(results).unique():
        enrolled = "all ratings of the training split" if size == "all" else f"{size} ratings of each annotator"
        parts += [f"<h2>CCC, {enrolled} enrolled: mean and standard deviation over runs</h2>"]
        parts += [summarize_levels(results, n_enrollment=size).round(3).to_html()]
    plt = import_matplotlib()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # of the labels' alphabets
        for title, name, figure in _figures(results):
            parts += [f"<h2>{html.escape(title)}</h2>", _image(figure)]
            with written_aside(out / "figures" / f"{name}.png") as aside:
                figure.savefig(aside, format="png", dpi=150)
            plt.close(figure)  # pyplot keeps it otherwise
    page = f"<!doctype html><html><head><meta charset='utf-8'><title>Report</title>{STYLE}</head><body>"
    write_text(out / "report.html", page + "\n".join(parts) + "</body></html>")
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
    sizes = results["n_enrollment"].astype(str)
    if not (sizes == str(n_enrollment)).any():
        raise ValueError(f"results have no enrollment of {n_enrollment!r}: they have {sizes.unique().tolist()}.")
    some = results[sizes == str(n_enrollment)]
    runs = some.groupby(["level", "strategy", "target", "output", "seed", "fold"], sort=False)["ccc"].mean()
    table = runs.groupby(["level", "strategy", "target", "output"], sort=False).agg(["mean", "std"])
    return pd.DataFrame(table.stack().unstack(["target", "output", -1]))


def _summary(results: pd.DataFrame) -> str:
    """Return what was run, in a sentence."""
    own = results[results["level"] == "individual"]
    counts = own.groupby("target", sort=False)["annotator"].nunique()
    targets = ", ".join(f"{name} ({n} annotators)" for name, n in counts.items())
    return f"{results['seed'].nunique()} seeds, {results['fold'].nunique()} folds; {targets}."


def _main_sizes(results: pd.DataFrame) -> pd.Series:
    """Return for each target the enrollment that tells most: all ratings, or the largest number."""

    def main(sizes: pd.Series) -> Any:
        return max(sizes.unique(), key=lambda size: float("inf") if size == "all" else float(size))

    return results.groupby("target", sort=False)["n_enrollment"].agg(main)


def _figures(results: pd.DataFrame) -> Iterator[tuple[str, str, Any]]:
    """Yield title, file name and picture, one after the other."""
    names, sizes = file_names(results["target"].unique()), _main_sizes(results)
    for target, some in results.groupby("target", sort=False):
        own = some[(some["level"] == "individual") & (some["n_enrollment"] == sizes[target])]
        if some["strategy"].isin(IN_DOMAIN).any() or not own["ccc"].notna().any():
            continue
        name, file = str(target), names[target]
        figure = StrategyDisplay.from_results(own, title=name).figure_
        yield f"{name}: CCC with each annotator", f"{file}-ccc-with-each-annotator", figure
        sized = some[~some["strategy"].astype(str).str.contains("fine-tuned")]
        if sized["n_enrollment"].astype(str).nunique() > 1:
            figure = EnrollmentDisplay.from_results(sized, title=name).figure_
            yield f"{name}: CCC by enrollment ratings", f"{file}-ccc-by-enrollment-ratings", figure
        if own.loc[own["strategy"] == "mapped", "source"].notna().any():
            figure = AnnotatorMapDisplay.from_results(own, title=name).figure_
            yield f"{name}: who is mapped to whom", f"{file}-who-is-mapped-to-whom", figure


def _image(figure: Any) -> str:
    """Return a picture as HTML that needs no file beside it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"<img alt='' src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"
