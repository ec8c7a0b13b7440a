import subprocess
import sys

import pytest

from sklearn_annoser.__main__ import main


def test_the_demo_prints_its_table_and_the_truth_and_draws_a_picture(tmp_path, capsys):
    main(["demo", "--out", str(tmp_path), "--draws", "1"])
    out, err = capsys.readouterr()
    for name in ("random", "aggregate", "all heads", "mapped", "mapped, calibrated", "oracle"):
        assert f"\n{name} " in out
    assert "target_000" in out
    assert "The known truth: " in out
    assert "epochs:" in err
    picture = tmp_path / "simulated.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_the_corpora_is_said(tmp_path):
    with pytest.raises(SystemExit, match="There is neither speechocean762/ nor stanford_politeness/"):
        main(["demo", "--data", str(tmp_path)])


def test_without_a_command_the_usage_is_printed():
    run = subprocess.run([sys.executable, "-m", "sklearn_annoser"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "usage: python -m sklearn_annoser" in run.stderr
