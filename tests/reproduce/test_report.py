"""Tables and pages of results."""

import pytest

from sklearn_annoser.reproduce import summarize_levels, write_report


def test_the_table_is_the_mean_over_annotators_then_over_runs(run):
    results = run()
    table = summarize_levels(results, n_enrollment=5)
    some = results.query("level == 'individual' and strategy == 'mapped' and n_enrollment == 5 and output == 'valence'")
    runs = some.groupby(["seed", "fold"])["ccc"].mean()
    cell = table.loc[("individual", "mapped"), ("IEMOCAP", "valence")]
    assert cell["mean"] == pytest.approx(runs.mean())
    assert cell["std"] == pytest.approx(runs.std())


def test_a_report_of_one_seed_and_one_strategy(run, tmp_path):
    results = run(seeds=(0,), strategies={"mapped": ("source", {})}, enrollment=("all",), tests=None)
    assert write_report(results, tmp_path / "out").exists()
