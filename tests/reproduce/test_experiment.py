"""The experiment as a whole: it goes on where it was, keeps experiments apart, and its report shows what was found."""

import json
import os
import re
import signal
from itertools import count

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from sklearn_annoser.command_line import main
from sklearn_annoser.evaluation import STRATEGIES
from sklearn_annoser.network._moving_layers import MovingLayers
from sklearn_annoser.reproduce import load_model, reproduce, summarize_levels
from tests.reproduce.conftest import SETTINGS


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


def renamed(ratings, **changes):
    """Return Ratings with other labels."""
    labels = {"annotators": ratings.annotators, "outputs": ratings.outputs, "scale": ratings.scale} | changes
    return Ratings(ratings.indptr, ratings.codes, ratings.values, **labels)


def broken_off(*args, **kwargs):
    """Do nothing, and be interrupted."""
    raise KeyboardInterrupt


def interrupt_at(step, monkeypatch):
    """Send SIGINT to this process in a step of training."""
    learn, steps = MovingLayers.learn, count()

    def counted(self, gradient):
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return learn(self, gradient)

    monkeypatch.setattr(MovingLayers, "learn", counted)


SMALL = {
    "strategies": {"mapped": ("source", {}), "tuned": ("source", {"fine_tune": True})},
    "seeds": (0,),
    "tests": None,
}


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("groups", lambda corpus: {"groups": np.random.RandomState(0).permutation(corpus.groups)}),
        ("ratings", lambda corpus: {"ratings": renamed(corpus.ratings, annotators=corpus.ratings.annotators[::-1])}),
        ("ratings", lambda corpus: {"ratings": renamed(corpus.ratings, outputs=["activation", "dominance"])}),
    ],
)
def test_results_are_never_taken_for_those_of_other_data(run, corpora, monkeypatch, part, changed):
    _, target = corpora
    monkeypatch.setattr(AnnotatorMappedRegressor, "fit", broken_off)
    with pytest.raises(KeyboardInterrupt):
        run(**SMALL, targets={"source": target})
    other = Bunch(**{**target, **changed(target)})
    with pytest.raises(ValueError, match=f"has another experiment: its {part} of the target 'source' differ"):
        run(**SMALL, targets={"source": other})


@pytest.fixture
def listening():
    """Let this process hear SIGINT, which what runs in the background of a shell does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("step", [3, 60])
def test_an_interrupt_stops_and_keeps_nothing_half_trained(run, tmp_path, monkeypatch, step):
    expected = run(**SMALL, out=tmp_path / "whole")
    interrupt_at(step, monkeypatch)
    with pytest.raises(
        KeyboardInterrupt, match=r"interrupted; what was finished is in '.*out', and the same call goes"
    ):
        run(**SMALL)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    pd.testing.assert_frame_equal(run(**SMALL), expected)
    assert (tmp_path / "out" / "results.csv").read_text() == (tmp_path / "whole" / "results.csv").read_text()


def test_a_kill_at_any_write_is_made_good(run, tmp_path, monkeypatch):
    expected = run(**SMALL, out=tmp_path / "whole")
    replace = os.replace
    for number in range(4):
        written = count()

        def killed(*args, number=number, written=written):
            if next(written) == number:
                raise KeyboardInterrupt
            replace(*args)

        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            run(**SMALL, out=tmp_path / f"killed {number % 2}")
        monkeypatch.undo()
    for number in (0, 1):
        pd.testing.assert_frame_equal(run(**SMALL, out=tmp_path / f"killed {number}"), expected)


def test_results_without_all_ratings_enrolled_have_their_report(run, tmp_path):
    results = run(**SMALL | {"enrollment": (5, 10)})
    assert set(results["n_enrollment"]) == {5, 10}
    assert "CCC, 10 ratings of each annotator enrolled" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(ValueError, match=r"results have no enrollment of 'all': they have \['5', '10'\]"):
        summarize_levels(results)


def test_any_label_comes_to_the_report(run, corpora, tmp_path):
    names = ["$x^$", "=1+1", "_a", "<script>", "new\nline", "=x", "x" * 300, "x" * 299, "\u05e9", "$$"]
    outputs = ["_$v", "<b>"]
    source, target = (
        Bunch(
            **{**each, "ratings": renamed(each.ratings, annotators=names[: each.ratings.n_annotators], outputs=outputs)}
        )
        for each in corpora
    )
    titles = ["T $ <script> \n", "t <script> $ \n"]
    results = reproduce(
        source,
        dict.fromkeys(titles, target),
        estimator=AnnotatorMappedRegressor(n_hidden=4, lr=0.02, max_epochs=1),
        out=tmp_path / "out",
        **SETTINGS | SMALL,
    )
    assert set(results["target"]) == set(titles)
    assert len(list((tmp_path / "out" / "figures").iterdir())) == 6
    assert "<script>" not in (tmp_path / "out" / "report.html").read_text()
    assert [each for each in results["source"] if each is not None and each not in names] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": ()}, "seeds must not be empty"),
        ({"seeds": (0, 0)}, "seeds must be different"),
        ({"enrollment": "all"}, "enrollment must be a sequence"),
        ({"enrollment": (5, 5)}, "enrollment must be different"),
        ({"targets": {}}, "targets and tests must not be empty"),
        ({"targets": {1: None}}, "must have strings as names, got 1"),
        ({"targets": {"T": Bunch(X=np.ones((2, 3)))}}, "the corpus 'T' must have X and ratings; it has no ratings"),
        ({"strategies": {"m": ("sorce", {})}}, "must be of one of .*, got 'sorce'"),
        ({"strategies": {"m": ("source", {"n_head": 2})}}, "strategy 'm' must be .*unexpected keyword argument"),
        ({"strategies": {"m": ("source", {"fine_tune": True})}, "enrollment": (5,)}, "fine-tuned ones need 'all'"),
        ({"n_folds": 400}, "target 'IEMOCAP': 400 folds need as many groups"),
        ({"min_ratings": 400}, "target 'IEMOCAP': no annotator has min_ratings=400"),
        ({"estimator": StandardScaler()}, "estimator must be an AnnotatorMappedRegressor"),
    ],
)
def test_what_would_fail_at_the_end_is_said_before_the_work(run, tmp_path, changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        run(**SMALL | changes)
    assert not (tmp_path / "out").exists()
