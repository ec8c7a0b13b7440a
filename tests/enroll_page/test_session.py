import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.datasets import read_ratings
from sklearn_annoser.enroll_page import EnrollmentSession
from sklearn_annoser.enroll_page._files import folder_of
from sklearn_annoser.enroll_page._session import Told
from sklearn_annoser.sharing import load


def opinion(row):
    """Return what a person says of a row of the pool."""
    return 1 + row % 7, 1 + (row * 3) % 7


def rate(session, n):
    """Rate the next samples, and return their rows."""
    rows = []
    for _ in range(n):
        rows.append(session.next_row())
        session.rate(rows[-1], opinion(rows[-1]))
    return rows


def test_samples_come_in_the_order_that_the_model_suggests(pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann", n=7)
    rows = rate(session, 7)
    assert rows == pool.regressor.suggest_enrollment(seen(pool), 7).tolist()
    assert session.is_done
    assert session.n_rated == 7


def seen(pool):
    """Return the features of the pool."""
    return pool.estimator[:-1].transform(pool.X)


def test_every_rating_is_on_the_disk_at_once_and_coming_back_goes_on(pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "Zoë, 007")
    for n in range(1, 5):
        (row,) = rate(session, 1)
        again = EnrollmentSession(pool, tmp_path, "Zoë, 007")
        assert again.n_rated == n
        assert again.ratings[pool.labels[row]] == opinion(row)
        assert again.next_row() == session.next_row()
    written = read_ratings(session.path, sample="sample", outputs=["activation", "valence"], scale=(1, 7))
    assert written.ratings.annotators.tolist() == ["Zoë, 007"]
    assert written.ratings.n_ratings == 4


def test_undo_and_later(pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    assert session.undo() is None
    first, second, third = (int(row) for row in pool.order[:3])
    session.skip(first)
    assert rate(session, 2) == [second, third]
    assert session.undo() == third
    assert session.next_row() == third
    assert EnrollmentSession(pool, tmp_path, "ann").n_rated == 1
    rest = rate(session, len(pool.labels) - 1)
    assert rest[-1] == first  # it comes last
    assert session.next_row() is None


@pytest.mark.parametrize("cut", [1, 2, 3, 9])
def test_a_last_line_that_was_broken_off_is_asked_for_again(cut, pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    rows = rate(session, 4)
    session.path.write_bytes(session.path.read_bytes().rstrip(b"\r\n")[: -cut + 1 or None])
    again = EnrollmentSession(pool, tmp_path, "ann")
    assert again.n_rated == 3
    assert "broken off" in again.mended
    assert again.next_row() == rows[3]
    rate(again, 1)
    assert EnrollmentSession(pool, tmp_path, "ann").mended == ""
    assert EnrollmentSession(pool, tmp_path, "ann").ratings == session.ratings


def test_a_broken_line_in_the_middle_is_an_error(pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    rate(session, 3)
    session.path.write_bytes(session.path.read_bytes().replace(b",ann,", b",ann,x", 1))
    with pytest.raises(ValueError, match=r"ratings\.csv' cannot be gone on with: ratings\.csv, line 2"):
        EnrollmentSession(pool, tmp_path, "ann")


def test_what_excel_makes_of_the_file_is_read(pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    rate(session, 3)
    pd.read_csv(session.path, dtype=str).to_csv(session.path, sep=";", encoding="utf-8-sig", index=False)
    assert EnrollmentSession(pool, tmp_path, "ann").ratings == session.ratings


@pytest.mark.parametrize("name", ["../ann", "/etc/ann", "..", "a/b", "a\\b", "C:ann", "ann.", "CON", "李雷", " ann "])
def test_names_cannot_leave_the_folder(name, tmp_path):
    folder = folder_of(tmp_path, name)
    assert folder.parent == tmp_path
    assert folder.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", 300 * "a"])
def test_what_is_no_name_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="Please give a name"):
        folder_of(tmp_path, name)


def test_no_two_people_share_a_folder(tmp_path):
    names = ["ann", "Ann", "ANN", "a nn", "a-nn", "ann.", "änn", "nn", "李", "雷"]
    assert len({str(folder_of(tmp_path, name)).lower() for name in names}) == len(names)


@pytest.mark.parametrize("values", [(0, 4), (4, 8), (4,), (4, 4, 4), (float("nan"), 4), (float("inf"), 4)])
def test_values_off_the_scale_are_refused(values, pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    with pytest.raises(ValueError, match="values must be 2 numbers on"):
        session.rate(0, values)
    assert not session.path.exists()


def test_what_is_told_is_what_the_package_says(pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    rate(session, 4)
    assert session.tell() is None
    rate(session, 6)
    told, X = session.tell(), seen(pool)
    rows = sorted(session.rows)
    dense = np.full((len(pool.labels), 1, 2), np.nan)
    dense[rows, 0] = [opinion(row) for row in rows]
    ratings = Ratings.from_dense(dense, annotators=["ann"], outputs=["activation", "valence"])
    regressor = pool.regressor
    assert told.similar == regressor.select_annotator(X[rows], ratings[rows])
    mapper = AnnotatorMapper(regressor, strategy="blend", calibration="affine", random_state=0).fit(X, ratings)
    for output in ("activation", "valence"):
        row = mapper.mapping_.loc["ann"]
        found = told.expected.loc[output].to_numpy()
        np.testing.assert_allclose(found, [row[f"{kind}_{output}"] for kind in ("expected", "low", "high")], rtol=1e-5)
    regressor.clear_selection()


def test_what_was_expected_after_fewer_ratings_is_told_again(pool, tmp_path):
    session, earlier = EnrollmentSession(pool, tmp_path, "ann"), {}
    for n in (5, 5, 3):
        rate(session, n)
        told = session.tell()
        earlier[told.n] = told.expected["score"].mean()
        assert not session.is_enough(told)
    assert list(told.growth) == [5, 10, 13]
    for n, score in earlier.items():
        assert told.growth[n] == pytest.approx(score)
    assert EnrollmentSession(pool, tmp_path, "ann").tell().growth == told.growth  # also after the page was closed


@pytest.mark.parametrize(("before", "enough"), [(0.49, True), (0.55, False), (0.45, False)])
def test_it_is_enough_when_the_last_ratings_changed_little(before, enough, pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    told = Told(20, "bob", 0.9, pd.DataFrame(), {15: before, 20: 0.5})
    assert session.is_enough(told) is enough
    assert not session.is_enough(told._replace(n=19))
    assert not session.is_enough(None)


def test_the_end_is_the_mapping_of_the_package(pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    rows = rate(session, 10)
    table = session.finish()
    assert table["sample"].tolist() == [label for row, label in enumerate(pool.labels) if row not in rows]
    dense = np.full((len(pool.labels), 1, 2), np.nan)
    dense[rows, 0] = [opinion(row) for row in rows]
    ratings = Ratings.from_dense(dense, annotators=["ann"], outputs=["activation", "valence"])
    mapper = AnnotatorMapper(FrozenEstimator(pool.estimator), strategy="blend", calibration="affine", random_state=0)
    expected = mapper.fit(pool.X, ratings).predict_annotators(pool.X)[:, 0]
    others = [row for row in range(len(pool.labels)) if row not in rows]
    np.testing.assert_allclose(table[["activation", "valence"]], expected[others], rtol=1e-5)
    kept = load(session.folder / "model.skops").predict(pool.X)
    np.testing.assert_allclose(kept, expected, rtol=1e-5)
    parts = zipfile.ZipFile(session.folder / "model.skops")
    whole = b"".join(parts.read(name) for name in parts.namelist())
    for label in pool.regressor.annotators_:  # this person's model alone; arrays have their text in UTF-32
        assert not any(str(label).encode(code) in whole for code in ("utf-8", "utf-32-le"))
    written = pd.read_csv(session.folder / "predictions.csv")
    np.testing.assert_allclose(written[["activation", "valence"]], expected[others], rtol=1e-5)


def test_one_rating_is_too_few_to_end_with(pool, tmp_path):
    session = EnrollmentSession(pool, tmp_path, "ann")
    rate(session, 1)
    with pytest.raises(ValueError, match="too few ratings"):
        session.finish()
