import subprocess
import sys

import pytest

from sklearn_annoser.command_line import _reproduce, main


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


@pytest.mark.parametrize(
    ("package", "command", "extra"),
    [
        ("matplotlib", ["demo"], "plot"),
        ("matplotlib", ["reproduce", "--demo"], "plot"),
        ("transformers", ["reproduce", "--demo"], "audio"),
        ("soundfile", ["reproduce", "--demo"], "audio"),
    ],
)
def test_what_is_not_installed_is_said_before_any_work(package, command, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.pyplot", None)
    with pytest.raises(SystemExit, match=rf"{package}: pip install 'sklearn-annoser\[{extra}\]'"):
        main([*command, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_an_interrupt_ends_the_command(tmp_path, monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_reproduce, "run", interrupted)
    with pytest.raises(SystemExit) as error:
        main(["reproduce", "--demo", "--out", str(tmp_path)])
    assert error.value.code == 130
    assert "The same command goes on where it was" in capsys.readouterr().err


def test_no_seed_and_no_draw_are_refused(capsys):
    for command in (["demo", "--draws", "0"], ["reproduce", "--seeds", "-1"]):
        with pytest.raises(SystemExit):
            main(command)
        assert "must be 1 or more" in capsys.readouterr().err


def test_invented_corpora_that_are_half_written_are_written_anew(tmp_path, monkeypatch):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    for writer in ("write_muse", "write_random_encoders"):
        with monkeypatch.context() as patch:
            patch.setattr(_reproduce, writer, killed)
            for other in {"write_msp_podcast", "write_msp_improv", "write_iemocap", "write_random_encoders"} - {writer}:
                patch.setattr(_reproduce, other, lambda folder, **sizes: folder.mkdir())
            with pytest.raises(KeyboardInterrupt):
                _reproduce.fill_folder(tmp_path / "demo", _reproduce.write_demo)
        assert list(tmp_path.iterdir()) == []
