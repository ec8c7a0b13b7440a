"""Corpora are read as they lie on real disks: other folders, copies, links, encodings, free text, a bad line."""

import contextlib
import os
import random
import shutil
import warnings

import numpy as np
import pytest

from sklearn_annoser import datasets
from sklearn_annoser.datasets import CorpusError, _folder
from tests.datasets.test_corpora import CORPORA, OUTPUTS, PAIR, assert_is_truth, damaged, long_of, to_unit


@pytest.fixture(params=CORPORA)
def corpus(request):
    return CORPORA[request.param]


def labels_of(root):
    """Return the files of a corpus that say who rated what."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".wav"]
    return [path for path in files if "ranscript" not in str(path.parent) and path.parent.name != "Text"]


# ---------------------------------------------------------------------- layouts


def move(names, to):
    """Return what moves files of a corpus into a folder."""

    def accident(root):
        folder = root / to
        folder.mkdir(exist_ok=True)
        for pattern in names:
            for path in sorted(root.glob(pattern)):
                if path != folder:
                    shutil.move(path, folder / path.name)

    return accident


def shout(root):
    """Give all files suffixes in upper case."""
    for path in [*root.rglob("*.wav"), *root.rglob("*.txt"), *root.rglob("*.csv")]:
        path.rename(path.with_suffix(path.suffix.upper()))


def whisper(root):
    """Give all folders names in lower case."""
    for path in sorted((each for each in root.rglob("*") if each.is_dir()), key=lambda path: -len(path.parts)):
        if path.name != path.name.lower():
            path.rename(path.with_name(path.name.lower()))


def litter(root):
    """Leave what systems and editors leave."""
    for path in [each for each in root.rglob("*") if each.is_file()]:
        for name in (f"._{path.name}", f"{path.name}~", f".{path.name}.swp", f"{path.name}.bak", "Thumbs.db"):
            (path.parent / name).write_bytes(b"\x00\x05\x16\x07")
        hidden = path.parent / ".ipynb_checkpoints"
        hidden.mkdir(exist_ok=True)
        (hidden / path.name).write_text("old")


def link(root):
    """Have folders behind links, one of them in a circle."""
    for path in sorted(each for each in root.iterdir() if each.is_dir()):
        away = root.parent / f"{root.name} elsewhere {path.name}"
        shutil.move(path, away)
        path.symlink_to(away, target_is_directory=True)
        (away / "circle").symlink_to(root, target_is_directory=True)
        (away / "upwards").symlink_to("/", target_is_directory=True)


def wrap(root):
    """Have the corpus in a folder in the folder."""
    shutil.move(root, root.parent / "inner")
    root.mkdir()
    shutil.move(root.parent / "inner", root / "inner")


def copy_of_the_words(root):
    """Have the words and tables twice."""
    for path in [*root.rglob("*.txt"), *root.rglob("annotators.csv")]:
        if path.parent.name in ("Text", "Transcripts") or path.suffix == ".csv":
            (root / "copies").mkdir(exist_ok=True)
            shutil.copy(path, root / "copies" / path.name)


@pytest.mark.parametrize("accident", [shout, whisper, litter, link, wrap, copy_of_the_words])
def test_layouts_that_say_the_same(corpus, tmp_path, accident):
    write, read = corpus
    truth = write(tmp_path / "corpus", n_utterances=12)
    accident(tmp_path / "corpus")
    found = read(tmp_path / "corpus")
    assert_is_truth(found, truth)
    assert found.utterances["transcript"].str.split().str.len().eq(6).all()


@pytest.mark.parametrize(
    ("name", "patterns", "folder"),
    [
        ("MSP-Improv", ["Audio/*"], "."),
        ("MSP-Improv", ["Text"], "Transcriptions"),
        ("MSP-Improv", ["Eval*"], "Labels"),
        ("MSP-Podcast", ["Audios"], "Audio"),
        ("MSP-Podcast", ["Labels/*"], "."),
        ("MSP-Podcast", ["Labels/*"], "label"),
        ("IEMOCAP", ["Session*/sentences/wav/*/*.wav"], "wavs"),
        ("MuSE", ["Emotion*", "annotators.csv"], "SurveyInformation"),
        ("MuSE", ["Audio/0[1-5]"], "NotStressed"),
    ],
)
def test_layouts_of_other_toolkits(tmp_path, name, patterns, folder):
    write, read = CORPORA[name]
    truth = write(tmp_path, n_utterances=12)
    move(patterns, folder)(tmp_path)
    assert_is_truth(read(tmp_path), truth)


def test_two_files_of_one_name(tmp_path):
    datasets.write_msp_podcast(tmp_path / "podcast", n_utterances=12)
    wav = next((tmp_path / "podcast" / "Audios").glob("*.wav"))
    for folder, found in (("8k", True), ("Audios/8k", False)):  # what is in Audios/ is meant, but twice there is not
        (tmp_path / "podcast" / folder).mkdir()
        copied = shutil.copy(wav, tmp_path / "podcast" / folder)
        if found:
            assert str(wav) in datasets.read_msp_podcast(tmp_path / "podcast").utterances["path"].tolist()
        else:
            with pytest.raises(CorpusError, match=rf"two files could be meant: .*{wav.name}' and '{copied}'"):
                datasets.read_msp_podcast(tmp_path / "podcast")
    shutil.rmtree(tmp_path / "podcast" / "Audios" / "8k")
    labels = tmp_path / "podcast" / "Labels"
    other = shutil.copy(labels / "labels_consensus.csv", labels / "labels_concensus.csv")
    datasets.read_msp_podcast(tmp_path / "podcast")  # they say the same
    other.write_text(other.read_text().replace("Train", "Test1"))
    with pytest.raises(CorpusError, match=r"labels_concensus.csv' and .*labels_consensus.csv'"):
        datasets.read_msp_podcast(tmp_path / "podcast")


def test_folders_for_files_and_dangling_links(corpus, tmp_path):
    write, read = corpus
    write(tmp_path / "corpus", n_utterances=12)
    wav = sorted((tmp_path / "corpus").rglob("*.wav"))[0]
    wav.unlink()
    for make in (wav.mkdir, lambda: wav.symlink_to("nowhere"), lambda: wav.symlink_to(wav.name)):
        make()
        with pytest.raises(
            CorpusError, match=rf"1 of 12 utterances .* have no audio, the first is '{wav.stem}' \(sought"
        ):
            read(tmp_path / "corpus")
        shutil.rmtree(wav) if wav.is_dir() else wav.unlink()
    for path in labels_of(tmp_path / "corpus"):
        for make in (path.mkdir, lambda path=path: path.symlink_to("nowhere")):
            kept = path.rename(tmp_path / "kept")
            make()
            with pytest.raises(CorpusError):
                read(tmp_path / "corpus", missing="keep")
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            kept.rename(path)
    with pytest.raises(CorpusError, match="is a file, not the folder"):
        read(labels_of(tmp_path / "corpus")[0])
    with pytest.raises(TypeError, match="root must be a path, got None"):
        read(None)


def test_a_folder_that_is_closed_is_named(tmp_path, monkeypatch):
    datasets.write_msp_improv(tmp_path, n_utterances=12)
    real = os.scandir

    def scandir(folder):
        if folder.name == "session3":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(_folder.os, "scandir", scandir)
    with pytest.raises(
        CorpusError, match=r"2 of 12 .* there are closed folders: 'Audio/session3' \(Permission denied\)"
    ):
        datasets.read_msp_improv(tmp_path)
    with pytest.warns(UserWarning, match=r"Not read, for they are closed: the folders 'Audio/session3'"):
        assert datasets.read_msp_improv(tmp_path, missing="keep").utterances["path"].isna().sum() == 2


def test_audio_and_transcripts_that_lack_are_both_told(tmp_path):
    datasets.write_muse(tmp_path, n_utterances=12)
    wavs, words = (sorted(tmp_path.rglob(f"*.{suffix}")) for suffix in ("wav", "txt"))
    for path in (*wavs[:2], *words[-3:]):
        path.unlink()
    with pytest.raises(CorpusError, match=r"2 of 12 utterances of MuSE have no audio.*; 3 have no transcript"):
        datasets.read_muse(tmp_path)
    assert len(datasets.read_muse(tmp_path, missing="drop").utterances) == 7
    for path in words[:-3]:
        path.unlink()
    with pytest.raises(CorpusError, match=r"has audio and transcript: 2 .* have no audio.*; 12 have no transcript"):
        datasets.read_muse(tmp_path, missing="drop")


# ---------------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_encodings_with_a_mark(corpus, tmp_path, encoding, end):
    write, read = corpus
    truth = write(tmp_path, n_utterances=12, audio=False)
    for path in [*tmp_path.rglob("*.csv"), *tmp_path.rglob("*.txt")]:
        path.write_bytes(path.read_text().rstrip("\n").replace("\n", end).encode(encoding))  # no line end at the end
    found = read(tmp_path, missing="keep")
    assert_is_truth(found, truth)
    assert found.utterances["transcript"].str.split().str.len().eq(6).all()


def test_a_transcript_that_is_not_utf8_costs_a_warning(corpus, tmp_path):
    write, read = corpus
    truth = write(tmp_path, n_utterances=12, audio=False)
    expected = read(tmp_path, missing="keep").utterances["transcript"]
    label = read(tmp_path, missing="keep").utterances["id"][3]
    path = next(each for each in tmp_path.rglob("*.txt") if expected[3] in each.read_text())
    good = path.read_text()
    path.write_bytes(good.replace(expected[3], "naïve").encode("cp1252"))
    with pytest.warns(UserWarning, match="Read as Windows-1252.*1 files of transcripts"):
        found = read(tmp_path, missing="keep")
    assert_is_truth(found, truth)
    assert found.utterances["transcript"].equals(expected.where(found.utterances["id"] != label, "naïve"))
    assert "Windows-1252" in found.DESCR
    path.write_bytes(b"\xff\x00\x81" + good.encode("utf-16-le"))
    with pytest.raises(
        CorpusError, match=rf"1 files of transcripts are no text, the first: {path.name}, line 1: .* zero"
    ):
        read(tmp_path)
    found = read(tmp_path, missing="keep")
    assert found.utterances.set_index("id").loc[label, "transcript"] is None
    assert "no text" in found.DESCR


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\xff\xfeA", b"PK\x03\x04 a workbook", b"\x80" * 99]
)
def test_tables_that_hold_nothing_or_something_else(corpus, tmp_path, content):
    write, read = corpus
    write(tmp_path, n_utterances=12, audio=False)
    for path in labels_of(tmp_path):
        path.write_bytes(content)
    with pytest.raises(CorpusError):
        read(tmp_path, missing="keep")


# ---------------------------------------------------------------------- free text

WRITTEN = [
    "Other-calm; a bit bored",
    "Other-a, b",
    "x: y; z",
    "Other-«é»",
    "; ;",
    "(1) [2] {3}",
    "'",
]


@pytest.mark.parametrize("written", [*WRITTEN, 'Other-"meh"', 'say ""what""', 'odd " one'])
def test_free_text_may_have_anything_in_it(tmp_path, written):
    for name in ("MSP-Podcast", "MSP-Improv", "IEMOCAP"):
        write, read = CORPORA[name]
        truth = write(tmp_path / name, n_utterances=12, audio=False)
        for path in labels_of(tmp_path / name):
            text = path.read_text()
            doubled = written.replace('"', '""') if len(written) % 2 else written  # or as they were typed
            text = text.replace("; Neutral;", f"; {doubled};").replace("\tNeutral;", f"\t{written};")
            path.write_text(text.replace("\t()", f"\t({written})"))
        assert_is_truth(read(tmp_path / name, missing="keep"), truth)


def test_two_lines_that_ran_together_are_no_free_text(corpus, tmp_path):
    write, read = corpus
    truth = write(tmp_path, n_utterances=3, audio=False)
    self_reports = len(read(tmp_path, missing="keep").self_reports)
    n_read = 0
    for path in labels_of(tmp_path):
        good = path.read_text()
        for place in [place for place, letter in enumerate(good) if letter == "\n"]:
            path.write_text(good[:place] + good[place + 1 :])
            try:
                found = read(tmp_path, missing="keep")
            except CorpusError:
                continue
            assert_is_truth(found, truth)
            assert len(found.self_reports) == self_reports
            n_read += 1
        path.write_text(good)
    assert n_read > 0  # the last line needs no end


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "long", ["A:1; V:" * 5000, "A:" * 5000, "D:" * 5000 + ";x", "val act " * 5000, '"' * 5001, "; " * 5000]
)
def test_no_line_takes_forever(tmp_path, long):
    for name in ("MSP-Podcast", "MSP-Improv", "IEMOCAP"):
        write, read = CORPORA[name]
        write(tmp_path / name, n_utterances=3, audio=False)
        for path in labels_of(tmp_path / name):
            good = path.read_text()
            path.write_text(good.replace("; Neutral;", f"; {long};", 1).replace("\tval 2", f"\t{long}", 1))
            path.write_text(path.read_text().replace("D:3; N:NaN;", f"{long}", 1))
            with contextlib.suppress(CorpusError):
                read(tmp_path / name, missing="keep")


def test_annotators_of_muse_keep_their_names(tmp_path):
    truth = datasets.write_muse(tmp_path, n_utterances=12, audio=False)
    path = tmp_path / "annotators.csv"
    names = dict(zip(sorted(set(truth["annotator"])), ["nan", "None", "a nan b", "null", "007"], strict=False))
    text = path.read_text()
    for old, new in names.items():
        text = text.replace(old, new)
    path.write_text(text)
    assert_is_truth(datasets.read_muse(tmp_path, missing="keep"), truth.replace({"annotator": names}))


# ---------------------------------------------------------------------- on_error


def test_a_bad_line_is_left_out_with_all_that_depends_on_it(tmp_path):
    (tmp_path / "Evaluation.txt").write_text(
        "UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:4.5 ; V:2.0 ; D:NaN ; N:1.0;\n"
        "1234-p1; Angry; ; A:x; V:1; D:3; N:3;\n"
        "5678-p1; Angry; ; A:4; V:2; D:3; N:3;\n"
        "UTD-IMPROV-S02A-F01-P-FM01; A; A:4.5 ; V:2.0 ; D:NaN ; N:1.0;\n"  # whose are the next?
        "1234-p1; Angry; ; A:4; V:2; D:3; N:3;\n\n"
        "UTD-IMPROV-S03A-F01-P-FM01.avi; A; A:9 ; V:2.0 ; D:NaN ; N:1.0;\n"
        "1234-p1; Angry; ; A:4; V:2; D:3; N:3;\n\n"
        "UTD-IMPROV-S04A-F01-P-FM01.avi; A; A:3 ; V:2.0 ; D:NaN ; N:1.0;\n"
        "1234-p1; Angry; ; A:1; V:1; D:3; N:3;\n"
    )
    with pytest.raises(CorpusError, match=r"line 2: expected a number for A, got 'x'"):
        datasets.read_msp_improv(tmp_path, missing="keep")
    with pytest.warns(UserWarning, match=r"5 lines of MSP-Improv .* left out. The first: Evaluation.txt, line 2"):
        found = datasets.read_msp_improv(tmp_path, missing="keep", on_error="drop")
    assert long_of(found).values.tolist() == [
        ["MSP-IMPROV-S01A-F01-P-FM01", "5678-p1", -0.5, -0.5],
        ["MSP-IMPROV-S04A-F01-P-FM01", "1234-p1", 1.0, -1.0],
    ]
    assert "Left out: 5 lines that are not as they should be" in found.DESCR
    with pytest.raises(ValueError, match=r"on_error must be one of \['raise', 'drop'\], got 'skip'"):
        datasets.read_msp_improv(tmp_path, on_error="skip")


def test_a_corpus_of_bad_lines_names_the_first(corpus, tmp_path):
    write, read = corpus
    write(tmp_path, n_utterances=12, audio=False)
    for path in labels_of(tmp_path):
        lines = path.read_text().split("\n")
        kept = 1 if path.suffix == ".csv" else 0
        path.write_text("\n".join([*lines[:kept], *(f"\x01{line}" for line in lines[kept:])]))
    with pytest.raises(CorpusError, match=r"there is no utterance in .* The first line that is left out: .*, line \d"):
        read(tmp_path, missing="keep", on_error="drop")


def test_whatever_is_left_out_the_rest_is_right(corpus, tmp_path):
    write, read = corpus
    truth = write(tmp_path, n_utterances=8, audio=False)
    truth[OUTPUTS] = to_unit(truth[OUTPUTS], read(tmp_path, missing="keep").scale)
    expected = truth.set_index(PAIR)
    rng, n_read = random.Random(1), 0
    for _ in range(40):
        path = rng.choice(labels_of(tmp_path))
        good = path.read_bytes()
        lines = good.split(b"\n")
        hit = rng.sample(range(1, len(lines)), min(3, len(lines) - 1))
        for line in hit:
            lines[line] = damaged(lines[line] or b" ", rng)[0]
        path.write_bytes(b"\n".join(lines))
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*left out")
                found = read(tmp_path, missing="keep", on_error="drop")
        except CorpusError:  # of the whole, not of a line: nothing is left
            assert len(lines) < 12
            continue
        finally:
            path.write_bytes(good)
        n_read += 1
        same = long_of(found).set_index(PAIR)
        same = same[same.index.isin(expected.index)]
        off = np.abs(same[OUTPUTS].to_numpy() - expected.loc[same.index, OUTPUTS].to_numpy()).max(axis=1) > 1e-6
        assert off.sum() <= len(hit) * (6 if read is datasets.read_muse else 1)  # a digit may have become another
    assert n_read > 10


def test_a_quote_that_is_not_closed_costs_its_line_only(tmp_path):
    truth = datasets.write_msp_podcast(tmp_path, n_utterances=12, audio=False)
    path = tmp_path / "Labels" / "labels_detailed.csv"
    lines = path.read_text().split("\n")
    lines[5] = lines[5].removesuffix('"')
    path.write_text("\n".join(lines))
    with pytest.warns(UserWarning, match=r"a line of .* The first: labels_detailed.csv, line 6"):
        found = datasets.read_msp_podcast(tmp_path, missing="keep", on_error="drop")
    assert_is_truth(found, truth.drop(index=4))


def test_damage_in_iemocap_does_not_give_ratings_to_another_utterance(tmp_path):
    truth = datasets.write_iemocap(tmp_path, n_utterances=20, audio=False)
    path = labels_of(tmp_path)[0]
    text = path.read_text().replace("\n\n[", "\n[").replace("\n[1", "\n(1", 1)
    path.write_text(text)
    with pytest.warns(UserWarning, match="left out"):
        found = datasets.read_iemocap(tmp_path, missing="keep", on_error="drop")
    left = truth[truth["utterance"].isin(found.utterances["id"])]
    assert_is_truth(found, left)
    assert len(found.utterances) < 20
