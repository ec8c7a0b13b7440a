"""What a corpus will take on this machine: measured, multiplied, and told in words."""

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser.command_line import main
from sklearn_annoser.planning import Corpus, _plan, describe_plan, make_plan

MODELS = ["train one network", "train a committee", "map to the most similar", "blend, and forecast", "predict"]


@pytest.fixture(scope="module")
def plan():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plan, "N_FEATURES", 32)
        return make_plan(Corpus(hours=2, annotators=30, seconds=4, people=7, epochs=5), budget=0.1, with_encoders=False)


def test_what_is_measured_is_multiplied(plan):
    assert plan.index.tolist() == MODELS
    assert (plan["measured"] > 0).all()
    assert plan["n_units"].tolist() == [57 * 5, 57 * 5, 7, 7, 1800]  # 1,800 utterances are 57 steps
    np.testing.assert_allclose(plan["seconds"], plan["measured"] * plan["n_units"])


def test_a_corpus_of_seconds_has_an_utterance():
    assert Corpus(hours=0.0001, annotators=1).n_utterances == 1


def test_encoders_are_timed_an_utterance(monkeypatch):
    pytest.importorskip("transformers")
    write, sizes = _plan.write_random_encoders, []
    monkeypatch.setattr(_plan, "write_random_encoders", lambda folder, size: [sizes.append(size), write(folder)][1])
    seen = []
    embed = _plan.BertEncoder.transform
    monkeypatch.setattr(_plan.BertEncoder, "transform", lambda self, X: [seen.extend(X), embed(self, X)][1])
    found = _plan._plan_encoders(Corpus(hours=1, annotators=3, seconds=1), 0.01)
    assert len(set(seen)) == len(seen)  # what is the same is embedded but once
    assert sizes == ["base"]
    assert list(found) == ["encode audio", "encode text"]
    assert all(seconds > 0 and unit == "utterance" and n == 3600 for seconds, unit, n in found.values())


def test_time_goes_on_until_the_budget_is_spent():
    calls = []

    def do(n):
        calls.append(n)
        for _ in range(n):
            _plan.time.sleep(0.01)

    each = _plan._seconds(do, 0.1)
    assert calls == [1, 1, 2, 4, 8][: len(calls)]
    assert len(calls) >= 4
    assert 0.009 < each < 0.1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3e-6, "3 us"), (0.02, "20 ms"), (90, "1.5 min"), (80, "80 s"), (7200, "2 h"), (864000, "10 days")],
)
def test_times_have_the_unit_that_suits_them(seconds, words):
    assert _plan._in_words(seconds) == words


def test_the_command_says_for_what_and_what(monkeypatch, capsys, plan):
    pytest.importorskip("transformers")
    monkeypatch.setattr("sklearn_annoser.command_line._plan.make_plan", lambda corpus, budget: plan)
    main(["plan", "--hours", "400", "--annotators", "12913"])
    told = capsys.readouterr().out
    for part in ("240,000 utterances, 400 hours; 12,913 annotators, 30 epochs", *MODELS, "a step", "a person"):
        assert part in told


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "many"])
def test_hours_that_are_none_are_refused(hours, capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--hours", hours, "--annotators", "5"])
    assert "--hours" in capsys.readouterr().err


def test_a_plan_is_a_table_of_times(plan):
    told = describe_plan(Corpus(hours=2, annotators=30), plan)
    assert isinstance(plan, pd.DataFrame)
    assert told.count("\n") == 4 + len(plan)
