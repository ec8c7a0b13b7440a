"""The experiment as a whole: it goes on where it was, keeps experiments apart, and its report shows what was found."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.__main__ import main
from sklearn_annoser.evaluation import STRATEGIES
from sklearn_annoser.reproduce import load_model


def test_everything_is_written(run, tmp_path):
    results = run()
    out = tmp_path / "out"
    assert sorted(path.name for path in (out / "models").iterdir()) == [
        f"{who}_{seed}.npz" for who in ("aggregate", "source") for seed in (0, 1)
    ]
    table = pd.read_csv(out / "results.csv")
    assert len(table) == len(results)
    np.testing.assert_allclose(table["ccc"], results["ccc"])
    assert set(results["target"]) == {"IEMOCAP", "MSP-Podcast Test1"}
    assert set(results["strategy"]) > set(STRATEGIES)
    assert {"ccc_5.csv", "ccc_all.csv", "published.csv"} < {path.name for path in out.iterdir()}
    report = (out / "report.html").read_text()
    assert report.count("data:image/png;base64,") == len(list((out / "figures").iterdir())) >= 1
    assert "6 annotators" in report
    assert not re.search(r"(src|href)=['\"](?!data:)", report)  # it needs nothing beside it


def test_it_goes_on_where_it_was(run, tmp_path, monkeypatch):
    expected = run()
    trained = []
    original = AnnotatorMappedRegressor.fit

    def spy(self, *args, **kwargs):
        trained.append(self.variant)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(AnnotatorMappedRegressor, "fit", spy)
    pd.testing.assert_frame_equal(run(), expected)
    assert trained == []
    (tmp_path / "out" / "models" / "source_1.npz").unlink()
    (tmp_path / "out" / "results" / "iemocap_0.json").unlink()
    (tmp_path / "out" / "results" / "iemocap_0.unfinished").write_bytes(b"cut")  # by a kill
    again = run()
    assert trained.count("individual") == 1 + 3  # the model that was lost, and the folds of the lost table
    pd.testing.assert_frame_equal(again, expected)


def test_another_experiment_does_not_get_mixed_in(run, corpora, tmp_path):
    run(seeds=(0,))
    run(seeds=(0, 1))  # more seeds are the same experiment
    with pytest.raises(
        ValueError, match=r"'.*out' has another experiment: its min_ratings differ. Choose another folder"
    ):
        run(min_ratings=11)
    _, target = corpora
    other = Bunch(X=target.X + 1, ratings=target.ratings, groups=target.groups)
    with pytest.raises(ValueError, match="its X of the target 'IEMOCAP' differ"):
        run(targets={"IEMOCAP": other})
    assert json.loads((tmp_path / "out" / "experiment.json").read_text())["min_ratings"] == "10"


def test_known_annotators_are_scored_with_their_own_heads(run, corpora, estimator, tmp_path):
    source, _ = corpora
    results = run(seeds=(0,))
    own = results.query("strategy == 'own head, in domain' and level == 'individual' and output == 'valence'")
    model = load_model(tmp_path / "out" / "models" / "source_0.npz", estimator, source)
    X = model[:-1].transform(source.X)
    expected = model[-1].score(X, source.ratings)
    both = results.query("strategy == 'own head, in domain' and level == 'individual'")
    assert both["ccc"].mean() == pytest.approx(expected, abs=1e-6)
    assert len(own) == 10


def test_the_command_runs_from_nothing_to_the_report(tmp_path, capsys):
    main(["reproduce", "--demo", "--seeds", "1", "--out", str(tmp_path)])
    shown = capsys.readouterr().out
    for name in ("MSP-Podcast 1.11: 300 utterances", "MSP-Improv: 120", "IEMOCAP: 120", "MuSE: 120", "report: "):
        assert name in shown
    results = pd.read_csv(tmp_path / "results.csv")
    mean = results[results["level"] == "individual"].groupby("strategy")["ccc"].mean()
    assert mean["mapped"] > mean["random"]
    main(["reproduce", "--demo", "--seeds", "1", "--out", str(tmp_path)])  # from what is there
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "results.csv"), results)


def test_the_command_without_corpora(tmp_path):
    with pytest.raises(SystemExit, match="reproduce needs --msp-podcast and one of --msp-improv"):
        main(["reproduce", "--out", str(tmp_path)])
