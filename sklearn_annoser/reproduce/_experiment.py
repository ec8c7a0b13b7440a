"""The paper's experiment on any corpora: train, map, fine-tune, and a report; it goes on where it was interrupted."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from sklearn_annoser._optional import import_matplotlib, import_transformers
from sklearn_annoser.displays import AnnotatorMapDisplay, EnrollmentDisplay, StrategyDisplay
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.evaluation import FINE_TUNED, STRATEGIES, compare_folds, score_levels

__all__ = [
    "PAPER_STRATEGIES",
    "PUBLISHED",
    "compare_published",
    "reproduce",
    "summarize_levels",
    "write_random_encoders",
    "write_report",
]

PAPER_STRATEGIES = STRATEGIES | {
    "mapped, separate": ("source", {"strategy": "separate"}),
    "mapped, top 5": ("source", {"strategy": "top-n", "n_heads": 5}),
    "mapped, top 15": ("source", {"strategy": "top-n", "n_heads": 15}),
    **FINE_TUNED,
}
ENROLLMENT = (5, 10, 15, 20, 25, 30, "all")

# Mean CCC over 25 runs, (activation, valence), by level, strategy and target corpus.
# Tavernor and Mower Provost, PMC13593162, and arXiv 2509.12295 for the idea.
PUBLISHED: dict[tuple[str, str], dict[str, tuple[float, float]]] = {
    ("consensus", "aggregate"): {"MuSE": (0.635, 0.557), "IEMOCAP": (0.636, 0.487), "MSP-Improv": (0.526, 0.471)},
    ("consensus", "mapped"): {"MuSE": (0.729, 0.618), "IEMOCAP": (0.636, 0.517), "MSP-Improv": (0.633, 0.536)},
    ("consensus", "random"): {"MuSE": (0.548, 0.525), "IEMOCAP": (0.544, 0.475), "MSP-Improv": (0.518, 0.470)},
    ("consensus", "aggregate, fine-tuned"): {
        "MuSE": (0.641, 0.651),
        "IEMOCAP": (0.697, 0.676),
        "MSP-Improv": (0.636, 0.608),
    },
    ("consensus", "mapped, fine-tuned"): {
        "MuSE": (0.784, 0.682),
        "IEMOCAP": (0.725, 0.662),
        "MSP-Improv": (0.724, 0.621),
    },
    ("individual", "aggregate"): {"MuSE": (0.233, 0.393), "IEMOCAP": (0.471, 0.403), "MSP-Improv": (0.274, 0.250)},
    ("individual", "mapped"): {"MuSE": (0.334, 0.439), "IEMOCAP": (0.524, 0.452), "MSP-Improv": (0.354, 0.276)},
    ("individual", "random"): {"MuSE": (0.197, 0.302), "IEMOCAP": (0.424, 0.368), "MSP-Improv": (0.263, 0.221)},
    ("individual", "mapped, fine-tuned"): {
        "MuSE": (0.296, 0.442),
        "IEMOCAP": (0.573, 0.573),
        "MSP-Improv": (0.364, 0.322),
    },
    ("individual", "aggregate, in domain"): {"MSP-Podcast Test1": (0.306, 0.335)},
    ("consensus", "aggregate, in domain"): {"MSP-Podcast Test1": (0.633, 0.616)},
    ("individual", "own head, in domain"): {"MSP-Podcast Test1": (0.326, 0.331)},
    ("consensus", "own head, in domain"): {"MSP-Podcast Test1": (0.668, 0.658)},
}


def reproduce(
    source: Bunch,
    targets: Mapping[str, Bunch],
    *,
    estimator: Any,
    out: str | os.PathLike[str],
    tests: Mapping[str, Bunch] | None = None,
    strategies: Mapping[str, tuple[str, dict[str, Any]]] | None = None,
    enrollment: Sequence[Any] = ENROLLMENT,
    n_folds: int = 5,
    min_ratings: int = 30,
    seeds: Sequence[int] = range(5),
    verbose: int = 0,
) -> pd.DataFrame:
    """Run the paper's experiment: train on a source corpus, map and fine-tune on target corpora, write a report.

    Every model and every table is written to `out` as soon as it is there. The same call goes on from what is there.

    Parameters
    ----------
    source : Bunch
        The source corpus: `X`, `ratings`, and `validation` (bool) or `groups`.
    targets : dict of str to Bunch
        Target corpora by name: `X`, `ratings`, `groups`.
    estimator : AnnotatorMappedRegressor, or a Pipeline that ends in one
        What to train; it is cloned, and its "aggregate" variant is trained beside it.
    out : path
        Folder for models, results.csv, tables, pictures and report.html.
    tests : dict of str to Bunch, default=None
        Test splits of the source corpus, whose annotators are known.
    strategies : dict, default=None
        As in :func:`~sklearn_annoser.evaluation.compare_folds`. None: `PAPER_STRATEGIES`.
    enrollment : sequence of int or "all", default=ENROLLMENT
        Numbers of enrollment ratings.
    n_folds : int, default=5
        Folds of each target.
    min_ratings : int, default=30
        Ratings in a training split that an annotator must have.
    seeds : sequence of int, default=range(5)
        Seeds of the training.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        As of :func:`~sklearn_annoser.evaluation.compare_folds`, with columns `target` and `seed`.

    Raises
    ------
    ValueError
        `out` has results of another experiment.
    """
    out = Path(out)
    strategies = PAPER_STRATEGIES if strategies is None else strategies
    options = {"strategies": dict(strategies), "enrollment": list(enrollment), "n_folds": n_folds}
    options["min_ratings"] = min_ratings
    corpora = {"source": source, **targets, **(tests or {})}
    _check_same_experiment(out, {"options": options, "estimator": repr(estimator), "data": _describe(corpora)})
    frames = []
    n_steps = len(seeds) * (2 + len(targets) + len(tests or {}))
    with tqdm(total=n_steps, unit="step", disable=not verbose) as bar:
        for seed in seeds:
            models = {}
            for who, variant in (("source", None), ("aggregate", "aggregate")):
                bar.set_description(f"seed {seed}: training, {variant or 'one head for each annotator'}")
                path = out / "models" / f"{who}_{seed}.joblib"
                models[who] = _made(path, partial(_train, estimator, source, variant, seed, min_ratings))
                bar.update()
            for name, corpus in (tests or {}).items():
                bar.set_description(f"seed {seed}: {name}")
                path = out / "results" / f"{_slug(name)}_{seed}.joblib"
                frames.append(_made(path, partial(_score_known, models, corpus)).assign(target=name, seed=seed))
                bar.update()
            for name, corpus in targets.items():
                bar.set_description(f"seed {seed}: mapping and fine-tuning {name}")
                path = out / "results" / f"{_slug(name)}_{seed}.joblib"
                table = _made(path, partial(_score_target, models, corpus, options, seed))
                frames.append(table.assign(target=name, seed=seed))
                bar.update()
    results = pd.concat(frames, ignore_index=True)
    results.to_csv(out / "results.csv", index=False)
    write_report(results, out)
    return results


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


def compare_published(results: pd.DataFrame) -> pd.DataFrame:
    """Put this run beside the published numbers, where the target corpus has any.

    Parameters
    ----------
    results : DataFrame
        What :func:`reproduce` returned.

    Returns
    -------
    DataFrame
        Columns level, strategy, target, output, published, here, difference.
    """
    some = results[results["n_enrollment"].astype(str) == "all"]
    keys = ["level", "strategy", "target", "output"]
    runs = some.groupby([*keys, "seed", "fold"], sort=False)["ccc"].mean()
    here = runs.groupby(keys, sort=False).mean()
    rows = []
    for (level, strategy), by_target in PUBLISHED.items():
        for target, values in by_target.items():
            for output, published in zip(("activation", "valence"), values, strict=True):
                key = (level, strategy, target, output)
                if key in here.index:
                    rows.append((*key, published, here[key], here[key] - published))
    return pd.DataFrame(rows, columns=[*keys, "published", "here", "difference"])


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
        path = out / "figures" / f"{_slug(name)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
        parts += [f"<h2>{html.escape(name)}</h2>", _image(figure)]
        plt.close(figure)  # pyplot keeps it otherwise
    page = f"<!doctype html><html><head><meta charset='utf-8'><title>Report</title>{STYLE}</head><body>"
    (out / "report.html").write_text(page + "\n".join(parts) + "</body></html>", encoding="utf-8")
    return out / "report.html"


def write_random_encoders(folder: str | os.PathLike[str]) -> tuple[str, str]:
    """Write a small WavLM and a small BERT with random weights, to try the experiment without any download.

    Parameters
    ----------
    folder : path
        Where to write.

    Returns
    -------
    speech, text : str
        The folders of the two.
    """
    import torch

    transformers = import_transformers()
    speech, text = Path(folder) / "wavlm", Path(folder) / "bert"
    if not (text / "config.json").exists():  # the last to be written
        transformers.utils.logging.disable_progress_bar()
        small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            groups = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
            config = transformers.WavLMConfig(**small, conv_dim=[32] * 7, **groups)
            transformers.WavLMModel(config).save_pretrained(speech)
            transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(speech)
            special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
            text.mkdir(parents=True, exist_ok=True)
            vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters)]
            (text / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
            transformers.BertTokenizerFast.from_pretrained(str(text)).save_pretrained(text)
            transformers.BertModel(transformers.BertConfig(**small, vocab_size=len(vocabulary))).save_pretrained(text)
    return str(speech), str(text)


STYLE = """<style>body{font-family:sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:85%}th,td{padding:.25em .6em;border-bottom:1px solid #ddd;text-align:right}
img{max-width:100%}</style>"""


def _train(estimator: Any, corpus: Bunch, variant: str | None, seed: int, min_ratings: int) -> Any:
    """Train one model."""
    model = clone(estimator)
    regressor = model[-1] if isinstance(model, Pipeline) else model
    regressor.set_params(random_state=seed, min_ratings=min_ratings, on_unknown="consensus")
    if variant is not None:
        regressor.set_params(variant=variant)
    X = model[:-1].fit_transform(corpus.X) if isinstance(model, Pipeline) and len(model) > 1 else corpus.X
    regressor.fit(X, corpus.ratings, groups=corpus.get("groups"), validation=corpus.get("validation"))
    return model


def _score_target(models: Mapping[str, Any], corpus: Bunch, options: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """Map the annotators of a target corpus."""
    return compare_folds(
        models["source"],
        corpus.X,
        corpus.ratings,
        groups=corpus.get("groups"),
        aggregate=models["aggregate"],
        random_state=seed,
        **options,
    )


def _score_known(models: Mapping[str, Any], corpus: Bunch) -> pd.DataFrame:
    """Score known annotators on a test split of the source corpus, each with their own head."""
    frames = []
    known = split_source(models["source"])[1].annotators_
    ratings = corpus.ratings.keep_annotators(np.intersect1d(corpus.ratings.annotators, known))
    for name, who in (("own head, in domain", "source"), ("aggregate, in domain", "aggregate")):
        steps, regressor = split_source(models[who])
        X = corpus.X if steps is None else steps.transform(corpus.X)
        table = score_levels(ratings, regressor.predict_ratings(X, ratings), regressor.predict(X))
        frames.append(table.assign(strategy=name, fold=0, n_enrollment="all"))
    return pd.concat(frames, ignore_index=True)


def _made(path: Path, make: Callable[[], Any]) -> Any:
    """Return what a file holds, or make it and write it whole."""
    if path.exists():
        return joblib.load(path)
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    joblib.dump(made, unfinished)
    os.replace(unfinished, path)
    return made


def _check_same_experiment(out: Path, experiment: dict[str, Any]) -> None:
    """Raise if a folder has another experiment, else note down which one it has."""
    path = out / "experiment.json"
    asked = json.loads(json.dumps(experiment, default=str))
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        other = [key for key in asked if asked[key] != found.get(key)]
        if other:
            raise ValueError(
                f"{str(out)!r} has another experiment: its {' and '.join(other)} differ. Choose another folder for "
                "out, or delete this one."
            )
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asked, indent=1), encoding="utf-8")


def _describe(corpora: Mapping[str, Bunch]) -> dict[str, str]:
    """Return a hash of each corpus."""
    described = {}
    for name, corpus in corpora.items():
        digest = blake2b(digest_size=16)
        for array in (corpus.X, corpus.ratings.values, corpus.ratings.codes, corpus.ratings.indptr):
            digest.update(np.ascontiguousarray(array).data)
        described[name] = digest.hexdigest()
    return described


def _slug(name: str) -> str:
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
