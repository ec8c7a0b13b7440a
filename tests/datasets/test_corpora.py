"""Readers give every number of a corpus in its format, or an error that names file and line; never a wrong number."""

import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from sklearn_annoser import Ratings
from sklearn_annoser.datasets import (
    CorpusError,
    read_iemocap,
    read_msp_improv,
    read_msp_podcast,
    read_muse,
    write_iemocap,
    write_msp_improv,
    write_msp_podcast,
    write_muse,
)

CORPORA = {
    "MSP-Podcast": (write_msp_podcast, read_msp_podcast),
    "MSP-Improv": (write_msp_improv, read_msp_improv),
    "IEMOCAP": (write_iemocap, read_iemocap),
    "MuSE": (write_muse, read_muse),
}
PAIR = ["utterance", "annotator"]
OUTPUTS = ["activation", "valence"]


@pytest.fixture(params=CORPORA)
def corpus(request):
    return CORPORA[request.param]


def to_unit(values, scale):
    """Return raw numbers on the scale of -1 to 1."""
    return (np.asarray(values) - np.mean(scale)) / ((scale[1] - scale[0]) / 2)


def long_of(corpus):
    """Return a corpus' ratings, sorted."""
    return corpus.ratings.to_long(sample="utterance").sort_values(PAIR).reset_index(drop=True)


def assert_is_truth(corpus, truth):
    """Check that a corpus has all the ratings that were written, and no others."""
    found, expected = long_of(corpus), truth.sort_values(PAIR).reset_index(drop=True)
    assert found[PAIR].values.tolist() == expected[PAIR].values.tolist()
    np.testing.assert_allclose(found[OUTPUTS], to_unit(expected[OUTPUTS], corpus.scale), atol=1e-9)


# ---------------------------------------------------------------------- format


def test_what_was_written_is_read(corpus, tmp_path):
    write, read = corpus
    truth = write(tmp_path)
    found = read(tmp_path)
    assert_is_truth(found, truth)
    utterances = found.utterances
    assert list(utterances.columns[:7]) == ["id", "path", "transcript", "speaker", "group", "split", "duration"]
    assert len(utterances) == len(found.ratings) == len(found.groups) == len(found.consensus) == 60
    assert utterances["id"].tolist() == found.ratings.samples.tolist()
    assert all(
        Path(path).is_file() and Path(path).stem == name
        for path, name in zip(utterances["path"], utterances["id"], strict=True)
    )
    assert utterances["transcript"].str.split().str.len().eq(6).all()
    assert found.groups.tolist() == utterances["group"].tolist()
    assert np.abs(found.consensus.to_numpy()).max() <= 1
    assert "60 utterances" in found.DESCR
    assert "https://" in found.DESCR


def test_the_consensus_of_the_corpus_is_the_mean_of_its_raters(tmp_path):
    for name, (write, read) in CORPORA.items():
        write(tmp_path / name, audio=False)
        found = read(tmp_path / name, missing="keep")
        once = np.ones(60, dtype=bool)
        if name == "MSP-Improv":  # there who rated twice counts twice
            once = np.arange(60) % 7 != 3
        np.testing.assert_allclose(found.consensus[once], found.ratings.consensus()[once], atol=2e-4)


@pytest.mark.parametrize("release", ["1.6", "1.9", "1.10", "1.12", "2.0"])
def test_releases_of_msp_podcast(tmp_path, release):
    truth = write_msp_podcast(tmp_path, release=release, audio=False)
    found = read_msp_podcast(tmp_path, release=release, missing="keep")
    assert_is_truth(found, truth)
    assert set(found.utterances["split"]) == {"train", "development", "test1"}
    assert found.validation.sum() == (found.utterances["split"] == "development").sum() > 0
    unknown = found.utterances["speaker"].isna()
    assert found.utterances.loc[unknown, "group"].str.startswith("podcast ").all()
    wrong = "1.11" if release == "2.0" else "2.0"
    with pytest.raises(CorpusError, match=rf"labels_detailed.csv, line 1: the columns .* of release {wrong}"):
        read_msp_podcast(tmp_path, release=wrong, missing="keep")


def test_activation_of_msp_improv_is_turned_round_and_valence_is_not(tmp_path):
    (tmp_path / "Evaluation.txt").write_text(
        "UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:4.5 ; V:2.0 ; D:NaN ; N:1.0;\n"
        "1234-p1; Angry; ; A:5; V:1; D:3; N:3;\n"
        "1234-p1; Angry; ; A:4; V:2; D:3; N:3;\n"
        "5678-p_spon; Happy; Sad,Other; A:4; V:3; D:NaN; N:NaN;"  # and no blank line at the end
    )
    found = read_msp_improv(tmp_path, missing="keep")
    assert found.utterances.loc[0, ["id", "speaker", "group"]].tolist() == [
        "MSP-IMPROV-S01A-F01-P-FM01",
        "M01",
        "session 01",
    ]
    np.testing.assert_allclose(found.consensus, [[-0.75, -0.5]])  # (6 - 4.5 - 3) / 2, (2 - 3) / 2
    np.testing.assert_allclose(long_of(found)[OUTPUTS], [[-0.75, -0.75], [-0.5, 0.0]])  # the mean of 1 and 2 raw; 2
    assert "1 second ratings by the same annotator, which are averaged" in found.DESCR


def test_iemocap_says_valence_first_and_keeps_self_reports_apart(tmp_path):
    folder = tmp_path / "Session3" / "dialog"
    (folder / "EmoEvaluation").mkdir(parents=True)
    (folder / "EmoEvaluation" / "Ses03F_script03_2.txt").write_text(
        "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\r\n\r\n"
        "[6.2901 - 8.2357]\tSes03F_script03_2_M005\tfru\t[2.5000, 4.0000, 3.0000]\r\n"
        "C-E2:\tNeutral;\t()\r\n"
        "A-E3:\tval 3; act 3.5; dom  2;\t(so be it; really)\r\n"
        "A-E4:\tval 2; act ; dom  2;\t()\r\n"
        "A-M1:\tval 1; act 5; dom  2;\t()"
    )
    found = read_iemocap(tmp_path, missing="keep")
    np.testing.assert_allclose(found.consensus, [[0.5, -0.25]])  # (4 - 3) / 2, (2.5 - 3) / 2
    assert long_of(found).values.tolist() == [["Ses03F_script03_2_M005", "E3", 0.25, 0.0]]
    assert found.self_reports.values.tolist() == [["Ses03F_script03_2_M005", "M1", 5.0, 1.0]]
    assert found.utterances.loc[0, ["speaker", "group"]].tolist() == ["Ses03M", "session 3"]
    assert found.utterances.loc[0, "duration"] == pytest.approx(1.9456)
    assert "1 ratings without activation or valence" in found.DESCR


@pytest.mark.parametrize("on_error", ["raise", "drop"])
def test_a_dialogue_of_iemocap_does_not_get_lost_with_its_file(tmp_path, on_error):
    write_iemocap(tmp_path, audio=False)
    path = sorted(tmp_path.glob("Session*/dialog/EmoEvaluation/*.txt"))[0]
    for content in ("", "% [START_TIME - END_T"):
        path.write_text(content)
        with pytest.raises(CorpusError, match=f"{path.name} has no utterance: it is empty or cut off"):
            read_iemocap(tmp_path, missing="keep", on_error=on_error)
    path.unlink()
    with pytest.warns(UserWarning, match=f"1 dialogues have a transcript but no file of ratings .* {path.stem}"):
        read_iemocap(tmp_path, missing="keep", on_error=on_error)


def test_iemocap_in_one_file(tmp_path):
    truth = write_iemocap(tmp_path, audio=False)
    files = sorted(tmp_path.glob("Session*/dialog/EmoEvaluation/*.txt"))
    (tmp_path / "all.txt").write_text("\n".join(path.read_text() for path in files))
    assert_is_truth(read_iemocap(tmp_path, evaluation=tmp_path / "all.txt", missing="keep"), truth)


def test_muse_has_its_annotators_from_a_table_apart(tmp_path):
    root, ids = tmp_path / "muse", tmp_path / "ids.csv"
    truth = write_muse(root, audio=False)
    shutil.move(root / "annotators.csv", ids)
    with pytest.raises(CorpusError, match=r"0 tables .* have a column 'annotators'.*on request from its authors"):
        read_muse(root, missing="keep")
    found = read_muse(root, metadata=ids, missing="keep")
    assert_is_truth(found, truth)
    assert len(found.self_reports) == 60
    assert found.self_reports["annotator"].str.startswith("self_report").all()
    assert set(found.utterances["condition"]) == {"S", "NS"}


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_and_byte_order_marks_of_other_systems(corpus, tmp_path, end):
    write, read = corpus
    truth = write(tmp_path, audio=False)
    for path in (*tmp_path.rglob("*.csv"), *tmp_path.rglob("Ev*.txt"), *tmp_path.rglob("Ses*.txt")):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace("\n", end).encode())
    assert_is_truth(read(tmp_path, missing="keep"), truth)


# ---------------------------------------------------------------------- missing files


def test_missing_audio_and_transcripts(corpus, tmp_path):
    write, read = corpus
    truth = write(tmp_path)
    audio, words = next(tmp_path.rglob("*.wav")), None
    audio.unlink()
    with pytest.raises(CorpusError, match=rf"1 of 60 utterances .* have no audio, the first is '{audio.stem}'"):
        read(tmp_path)
    kept = read(tmp_path, missing="keep")
    assert_is_truth(kept, truth)
    assert kept.utterances.set_index("id").loc[audio.stem, "path"] is None
    dropped = read(tmp_path, missing="drop")
    assert_is_truth(dropped, truth[truth["utterance"] != audio.stem])
    assert "1 utterances without audio or transcript" in dropped.DESCR
    words = next((path for path in tmp_path.rglob(f"{kept.utterances['id'].iloc[5]}.txt")), None)
    if words is not None:  # IEMOCAP has those of a dialogue in one file
        words.unlink()
        with pytest.raises(CorpusError, match=r"\d of 60 utterances .* have no (audio|transcript)"):
            read(tmp_path)
        assert len(read(tmp_path, missing="drop").utterances) in (58, 59)
    with pytest.raises(ValueError, match="missing must be one of"):
        read(tmp_path, missing="ignore")


def test_a_folder_of_another_corpus(corpus, tmp_path):
    _, read = corpus
    with pytest.raises(CorpusError, match="there is no folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="is not the folder of"):
        read(tmp_path)


# ---------------------------------------------------------------------- door


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("A:", "A;", r"line \d+: expected 'WORKER<digits>; ...; ...; A:<"),
        ("; V:", "; V:9", r"line \d+: expected V from 1 to 7, got 9"),
        ("; V:", "; V:x", r"line \d+: expected a number for V, got 'x"),
        ("WORKER", "BOSS", r"line \d+: expected 'WORKER"),
        (',"WORKER', ',extra,"WORKER', r"line \d+: expected 2 cells"),
        ("MSP-PODCAST_", "MSP_", r"line \d+: expected a FileName such as"),
        ("_0003.wav", "_9999.wav", r"line \d+: 'MSP-PODCAST_.*_9999' has no line in the table of the consensus"),
        ("FileName,EmoDetail", "FileName,Detail", r"line 1: the columns \['EmoDetail'\] of release 1.11"),
        ('"\n', "\n", r"line \d+: "),
        ("Happy", "\udcff", r"line \d+: byte 0xff is not UTF-8"),
    ],
)
def test_damage_to_ratings_of_msp_podcast_is_named(tmp_path, old, new, message):
    write_msp_podcast(tmp_path, audio=False)
    path = tmp_path / "Labels" / "labels_detailed.csv"
    path.write_bytes(path.read_text().replace(old, new, 1).encode("utf-8", "surrogateescape"))
    with pytest.raises(CorpusError, match=f"labels_detailed.csv, {message}"):
        read_msp_podcast(tmp_path, missing="keep")


def test_damage_to_the_consensus_of_msp_podcast_is_named(tmp_path):
    write_msp_podcast(tmp_path, audio=False)
    path = tmp_path / "Labels" / "labels_consensus.csv"
    lines = path.read_text().split("\n")
    for changed, message in (
        ([*lines[:5], lines[4], *lines[5:]], "line 6: the utterance 'MSP-PODCAST_.*' is there twice"),
        ([*lines[:2], lines[2].replace("Train", "Trian"), *lines[3:]], "line 3: expected Split_Set to be one of"),
        (lines[:1], "there is no utterance|has no line in the table"),
    ):
        path.write_text("\n".join(changed))
        with pytest.raises(CorpusError, match=message):
            read_msp_podcast(tmp_path, missing="keep")
    path.unlink()
    with pytest.raises(CorpusError, match=r"neither 'labels_consensus.csv' nor 'labels_concensus.csv' is in"):
        read_msp_podcast(tmp_path)


# ---------------------------------------------------------------------- damage of every kind


def damaged(content, rng):
    """Return a file's content, damaged in one of many ways, and on how many lines it may differ (None: anywhere)."""
    place = rng.randrange(len(content))
    kind = rng.choice(["flip", "delete", "insert", "cut", "line away", "line twice", "lines swapped"])
    if kind in ("flip", "delete", "insert"):
        span = content[place : place + rng.choice([1, 1, 3, 20])]
        if kind == "flip":
            span = bytes([content[place] ^ (1 << rng.randrange(8))])
        new = {"flip": span, "delete": b"", "insert": rng.choice([span, rng.randbytes(3), b";", b",", b"1"])}[kind]
        rest = content[place + (1 if kind == "flip" else len(span) if kind == "delete" else 0) :]
        return content[:place] + new + rest, 4
    lines = content.split(b"\n")
    if kind == "cut" or len(lines) < 2:
        return content[:place], 1
    one, other = sorted(rng.sample(range(len(lines)), 2))
    if kind == "line away":
        del lines[one]
    elif kind == "line twice":
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines), None


def test_no_damage_gives_another_error_or_a_wrong_number(corpus, tmp_path):
    write, read = corpus
    truth = write(tmp_path / "good", n_utterances=12, audio=False)
    truth[OUTPUTS] = to_unit(truth[OUTPUTS], read(tmp_path / "good", missing="keep").scale)
    expected = truth.set_index(PAIR)
    files = [path for path in sorted((tmp_path / "good").rglob("*")) if path.is_file()]
    rng = random.Random(0)
    n_clean = 0
    for _ in range(1000):
        path = rng.choice(files)
        good = path.read_bytes()
        content, n_lines = damaged(good, rng) if rng.random() < 0.98 else (None, None)
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*not UTF-8")  # of transcripts
                warnings.filterwarnings("ignore", message=".*no file of ratings")
                found = read(tmp_path / "good", missing="keep")
        except CorpusError:
            pass
        else:
            n_clean += 1
            assert isinstance(found.ratings, Ratings)
            assert np.abs(found.ratings.values).max() <= 1
            assert not np.isnan(found.ratings.values).any()
            same = long_of(found).set_index(PAIR)
            same = same[same.index.isin(expected.index)]
            off = np.abs(same[OUTPUTS].to_numpy() - expected.loc[same.index, OUTPUTS].to_numpy()).max(axis=1) > 1e-6
            if n_lines is not None:
                assert off.sum() <= n_lines * (6 if read is read_muse else 1)  # a line has all ratings of a sentence
        finally:
            path.write_bytes(good)
    assert 100 < n_clean < 1000  # transcripts may be damaged without harm, and a digit may become another
