import gc
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest

from sklearn_annoser.command_line._enroll import check_port
from tests.enroll_page.conftest import Served

gradio = pytest.importorskip("gradio", reason="gradio is not installed: pip install 'sklearn-annoser[app]'")
httpx = pytest.importorskip("httpx", reason="it comes with gradio")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries under the page


@pytest.fixture(scope="module")
def served(pool, tmp_path_factory):
    from sklearn_annoser.enroll_page import make_app

    out = tmp_path_factory.mktemp("page")
    with Served(make_app(pool, out, n=20, annotator="ann")) as url:
        yield url, out
    with warnings.catch_warnings(action="ignore"):  # gradio leaves event loops open
        gc.collect()


def test_a_clip_is_what_is_in_its_file(served, pool):
    url, _ = served
    for row in (0, 29):
        answer = httpx.get(f"{url}/clip/{row}")
        assert answer.status_code == 200
        assert answer.content == Path(pool.audio[row]).read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/clip/30",
        "/clip/-1",
        "/clip/../../etc/passwd",
        "/clip/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/clip//etc/passwd",
        "/clip/0/../../model.skops",
        "/file=/etc/passwd",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/stream/x/y/z/playlist.m3u8",
        "/static/../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_other_file_is_served(path, served):
    answer = httpx.get(served[0] + path)
    assert answer.status_code >= 400 or b"<title>" in answer.content
    assert b"root:" not in answer.content


def test_files_of_this_folder_and_ratings_are_not_served(served, studio):
    url, out = served
    for path in (
        studio.model,
        studio.folder / "ratings.csv",
        out / "ann" / "ratings.csv",
        Path("pyproject.toml").resolve(),
    ):
        assert httpx.get(f"{url}/gradio_api/file={path}").status_code == 403
    assert httpx.post(f"{url}/gradio_api/upload", files={"files": b"x"}).status_code == 403


def test_another_name_of_this_machine_is_refused(served):
    assert httpx.get(served[0], headers={"host": "evil.example"}).status_code == 400
    assert "default-src 'self'" in httpx.get(served[0]).headers["content-security-policy"]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_somebody_rates_twenty_clips_in_a_browser(served):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    url, out = served
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        page.wait_for_selector(".clip audio")
        page.wait_for_function("document.querySelector('.clip audio').duration > 0.2")
        page.click("#save")  # untouched: it asks
        page.wait_for_selector("#message >> text=press Save once more")
        given = rate_clips(page, 8)
        page.reload()
        page.wait_for_selector("#progress >> text=8 of 20 rated")
        assert page.inner_text("#told").startswith("Most similar")
        given |= rate_clips(page, 12)
        page.wait_for_selector("#message >> text=Press Finish")
        page.click("#finish")
        page.wait_for_selector("#predictions table")
        files = sorted(each.name for each in (out / "ann").iterdir())
        assert files == ["model.skops", "predictions.csv", "ratings.csv"]

        page.fill("#name input, #name textarea", "../Böb")  # somebody else
        page.click("#start")
        page.wait_for_selector("#progress >> text=../Böb: 0 of 20 rated")
        rate_clips(page, 1)
        page.reload()
        page.wait_for_selector("#progress >> text=../Böb: 1 of 20 rated")
        browser.close()
    assert [each for each in asked if not each.startswith((url, "data:", "blob:"))] == []
    assert said == []
    written = pd.read_csv(out / "ann" / "ratings.csv", dtype={"sample": str})
    assert len(written) == 20
    assert {row.sample: (row.activation, row.valence) for row in written.itertuples()} == given
    assert len(list(out.iterdir())) == 2


def rate_clips(page, n):
    """Rate the next clips by the keyboard, and return what was said of which."""
    sync_api = pytest.importorskip("playwright.sync_api")
    given = {}
    for _ in range(n):
        row = page.get_attribute(".clip", "data-row")
        label = page.inner_text(".clip small")
        values = 1 + int(row) % 7, 1 + int(row) * 3 % 7
        for place, value in enumerate(values):
            page.locator(f"#slider-{place} input[type=range]").focus()
            page.keyboard.press(str(value))
            if value == 4:  # where it stood: the arrows say that it is meant
                page.keyboard.press("ArrowRight")
                page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(120)
        page.keyboard.press("Enter")
        for _ in range(20):  # a busy machine takes its time, both to take the sliders in and to answer
            try:
                page.wait_for_function(f"document.querySelector('.clip').dataset.row !== '{row}'", timeout=3000)
                break
            except sync_api.TimeoutError:
                if "press Save once more" in page.inner_text("#message"):
                    page.keyboard.press("Enter")
        else:
            pytest.fail(f"the page stays at {label}")
        given[label] = values
    return given


def test_a_port_that_is_taken_is_told_before_any_work(served):
    port = int(served[0].rpartition(":")[2])
    with pytest.raises(OSError, match="Try another --port"):
        check_port("127.0.0.1", port)
