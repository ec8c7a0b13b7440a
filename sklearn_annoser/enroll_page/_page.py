"""The page: a thin layer of Gradio over the session, which plays the listed clips and nothing else."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_annoser._optional import import_gradio, import_soundfile
from sklearn_annoser.enroll_page._session import EnrollmentSession, Pool

PLAYED = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac", ".opus": "audio/ogg"}
LOCAL = ("127.0.0.1", "localhost", "::1")
# The browser itself refuses whatever is not from here.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: data: blob:"

KEYS = """
() => {
  document.addEventListener("keydown", (event) => {
    const here = document.activeElement, button = document.querySelector("#save");
    if (event.key === "Enter" && button && !here.closest("#who") && here.tagName !== "BUTTON") {
      event.preventDefault(); here.blur(); button.click();
    }
    if (/^[0-9]$/.test(event.key) && here.type === "range") {
      const value = Number(event.key);
      if (value >= Number(here.min) && value <= Number(here.max)) {
        here.value = value;
        here.dispatchEvent(new Event("input", {bubbles: true}));
        here.dispatchEvent(new Event("change", {bubbles: true}));
      }
    }
  });
}
"""
REMEMBER = """(name) => {
  const place = new URL(window.location); place.searchParams.set("annotator", name);
  window.history.replaceState({}, "", place); return name;
}"""
RECALL = "() => new URL(window.location).searchParams.get('annotator') || ''"
STYLE = """
.gradio-container {max-width: 860px !important; width: 100% !important; margin: auto !important}
#save, #skip, #undo {min-width: 90px}
.clip {font-size: 1.25em; line-height: 1.5; padding: 1em}
.clip {border: 1px solid var(--border-color-primary); border-radius: 8px}
.clip audio {width: 100%} .told table {width: 100%; border-collapse: collapse}
.told table, .told thead, .told tbody {border: 0 !important}
.told td, .told th {padding: .3em .5em; text-align: left; border: 0 solid var(--border-color-primary) !important}
.told tr > * {border-bottom-width: 1px !important}
.bar {background: var(--border-color-primary); border-radius: 4px; height: 8px}
.bar div {background: var(--primary-500, #f97316); border-radius: 4px; height: 8px}
footer {display: none !important}
"""


class Page:
    """What the page shows and does; a session for each person."""

    def __init__(self, pool: Pool, out: Path, n: int) -> None:
        self.pool, self.out, self.n = pool, Path(out), n
        self.sessions: dict[str, EnrollmentSession] = {}
        bounds = np.asarray(pool.regressor._unit_scale.bounds)
        self.scales = [(float(low), float(high), step_of(low, high)) for low, high in bounds]
        self.middles = [round((low + high) / 2 / step) * step for low, high, step in self.scales]

    def session(self, name: str) -> EnrollmentSession:
        """Return the session of a person, read from the disk when it is first asked for."""
        key = name.strip()
        if key not in self.sessions:
            self.sessions[key] = EnrollmentSession(self.pool, self.out, name, n=self.n)
        return self.sessions[key]

    def clip(self, row: int | None) -> str:
        """Return a sample as HTML."""
        if row is None:
            return "<div class='clip'>All samples have been rated.</div>"
        name = f"<small>{html.escape(self.pool.labels[row])}</small>"
        if self.pool.audio is not None:
            name = f"<audio controls autoplay preload='auto' src='/clip/{row}'></audio>{name}"
        if self.pool.texts is not None:
            name = f"<div>{html.escape(self.pool.texts[row])}</div>{name}"
        return f"<div class='clip' data-row='{row}'>{name}</div>"

    def progress(self, session: EnrollmentSession) -> str:
        """Return who rates and how far they are."""
        share = min(1.0, session.n_rated / session.n)
        told = f"<b>{html.escape(session.annotator)}</b>: {session.n_rated} of {session.n} rated"
        return f"<div class='progress'>{told}<div class='bar'><div style='width:{share:.0%}'></div></div></div>"

    def knowledge(self, session: EnrollmentSession) -> str:
        """Return what the ratings tell, as HTML."""
        told = session.tell()
        if told is None:
            return "<div class='told'>After five ratings this says who rates as you do, and what to expect.</div>"
        similar = "nobody yet: the ratings do not tell people apart"
        if told.similar is not None:
            similar = f"<b>{html.escape(str(told.similar))}</b> (confidence {told.confidence:.2f}; 0.5 is luck)"
        rows = "".join(
            f"<tr><td>{html.escape(str(name))}</td><td>{score:.2f}</td><td>{low:.2f} to {high:.2f}</td></tr>"
            for name, score, low, high in told.expected.itertuples()
        )
        grown = ", ".join(f"{score:.2f} after {n}" for n, score in told.growth.items())
        more = f"Expected, mean of all outputs: {grown}."
        if session.is_enough(told):
            more = f"<b>That is enough:</b> the last ratings changed little. {more}"
        return (
            f"<div class='told'><p>Most similar: {similar}</p><table><tr><th></th><th>expected CCC</th>"
            f"<th>80 % interval</th></tr>{rows}</table><p>{more}</p></div>"
        )


def step_of(low: float, high: float) -> float:
    """Return the step of a slider: 1 on scales of whole numbers from 4 points on, else a twentieth or so."""
    if float(low).is_integer() and float(high).is_integer() and high - low >= 3:
        return 1.0
    return float(10.0 ** np.floor(np.log10((high - low) / 10)))


def make_app(pool: Pool, out: Path, *, n: int = 20, annotator: str = "", host: str = "127.0.0.1") -> Any:
    """Return the page as an application that a server of ASGI serves.

    Parameters
    ----------
    pool : Pool
        What may be rated.
    out : path
        Folder in which each person has an own one.
    n : int, default=20
        How many ratings are asked for.
    annotator : str, default=""
        Who rates first.
    host : str, default="127.0.0.1"
        Where it will be served: of this machine, other names of it are refused.

    Returns
    -------
    FastAPI
    """
    gradio = import_gradio()
    from fastapi import FastAPI
    from fastapi.responses import FileResponse, PlainTextResponse, Response
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if host in LOCAL:  # no page from elsewhere can reach it under a name of its own
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])

    @app.middleware("http")
    async def only_from_here(request: Any, call_next: Any) -> Any:
        if request.url.path.startswith(("/gradio_api/file", "/gradio_api/upload", "/gradio_api/stream", "/file")):
            return PlainTextResponse("There are no files here.", status_code=403)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.get("/clip/{row}")
    def clip(row: int) -> Any:
        if pool.audio is None or not 0 <= row < len(pool.audio):
            return PlainTextResponse("There is no such clip.", status_code=404)
        path = Path(pool.audio[row])
        if path.suffix.lower() in PLAYED:
            return FileResponse(path, media_type=PLAYED[path.suffix.lower()])
        return Response(as_wav(path), media_type="audio/wav")

    blocks = make_blocks(Page(pool, out, n), gradio, annotator)
    looks = {"css": STYLE, "theme": gradio.themes.Default(font=["sans-serif"], font_mono=["monospace"]), "js": KEYS}
    return gradio.mount_gradio_app(app, blocks, path="/", ssr_mode=False, **looks)


def as_wav(path: Path) -> bytes:
    """Return a sound that browsers do not play as one that they do."""
    soundfile = import_soundfile()
    data, rate = soundfile.read(path)
    buffer = io.BytesIO()
    soundfile.write(buffer, data, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def make_blocks(page: Page, gradio: Any, annotator: str) -> Any:
    """Return the parts of the page, and what they do."""
    outputs = page.pool.regressor.outputs_
    with gradio.Blocks(title="Rate", analytics_enabled=False) as blocks:
        name, row, touched = gradio.State(""), gradio.State(None), gradio.State([])
        with gradio.Row(elem_id="who", equal_height=True):
            who = gradio.Textbox(annotator, label="Your name", elem_id="name", max_length=200)
            start = gradio.Button("Start", elem_id="start", scale=0, min_width=120)
        message = gradio.HTML(elem_id="message")
        with gradio.Column(visible=False) as rating:
            progress = gradio.HTML(elem_id="progress")
            clip = gradio.HTML(elem_id="clip")
            sliders = [
                gradio.Slider(low, high, middle, step=step, label=output, elem_id=f"slider-{place}")
                for place, (output, middle, (low, high, step)) in enumerate(
                    zip(outputs, page.middles, page.scales, strict=True)
                )
            ]
            with gradio.Row():
                save = gradio.Button("Save ⏎", elem_id="save", variant="primary", min_width=90)
                skip = gradio.Button("Later", elem_id="skip", min_width=90)
                undo = gradio.Button("Undo", elem_id="undo", min_width=90)
            told = gradio.HTML(elem_id="told")
            finish = gradio.Button("Finish", elem_id="finish")
            table = gradio.Dataframe(visible=False, elem_id="predictions", label="Predicted for what you did not rate")
    shown = [name, row, touched, message, rating, progress, clip, *sliders, told]

    def show(
        session: EnrollmentSession, at: int | None, said: str = "", values: Sequence[float] | None = None
    ) -> list[Any]:
        """Return what everything shows of a session."""
        parts = [session.annotator, at, [], f"<p>{said}</p>" if said else "", gradio.update(visible=True)]
        parts += [page.progress(session), page.clip(at)]
        return [*parts, *page.middles, page.knowledge(session)]

    def stay(said: str, known: Sequence[int] | None = None) -> list[Any]:
        """Return a word, and leave all else as it is."""
        parts: list[Any] = [gradio.skip()] * len(shown)
        parts[3] = f"<p>{html.escape(said)}</p>"
        if known is not None:
            parts[2] = list(known)
        return parts

    def begin(given: str) -> list[Any]:
        try:
            session = page.session(given)
        except ValueError as error:
            return stay(str(error))
        return show(session, session.next_row(), html.escape(session.mended))

    def arrive(asked: str) -> list[Any]:
        given = asked or annotator
        return [given, *(begin(given) if given else stay(""))]

    def rate(given: str, at: int | None, known: list[int], *values: float) -> list[Any]:
        if at is None:
            return stay("There is nothing left to rate.")
        untouched = [output for place, output in enumerate(outputs) if place not in known]
        if untouched:
            return stay(
                f"{' and '.join(untouched)} not moved yet: press Save once more if the middle is meant.",
                range(len(outputs)),
            )
        session = page.session(given)
        try:
            session.rate(at, values)
        except (ValueError, OSError) as error:
            return stay(f"Not saved: {error}")
        return show(session, session.next_row(), "Saved. Press Finish, or go on." if session.is_done else "")

    def later(given: str, at: int | None) -> list[Any]:
        session = page.session(given)
        if at is not None:
            session.skip(at)
        return show(session, session.next_row())

    def back(given: str) -> list[Any]:
        session = page.session(given)
        last = session.undo()
        return show(session, session.next_row() if last is None else last, "" if last is None else "Taken back.")

    def end(given: str) -> list[Any]:
        session = page.session(given)
        try:
            predicted = session.finish()
        except (ValueError, OSError) as error:
            return [f"<p>{html.escape(str(error))}</p>", gradio.skip()]
        where = html.escape(str(session.folder))
        said = f"<p>Thank you. ratings.csv, predictions.csv and model.skops are in {where}.</p>"
        return [said, gradio.update(value=predicted.round(2), visible=True)]

    with blocks:
        blocks.load(arrive, who, [who, *shown], js=RECALL)
        for event in (start.click, who.submit):
            event(begin, who, shown).then(None, who, None, js=REMEMBER)
        for place, slider in enumerate(sliders):

            def mark(known: list[int], place: int = place) -> list[int]:
                return sorted({*known, place})

            for event in (slider.input, slider.release):
                event(mark, touched, touched, show_progress="hidden")
        save.click(rate, [name, row, touched, *sliders], shown)
        skip.click(later, [name, row], shown)
        undo.click(back, name, shown)
        finish.click(end, name, [message, table])
    return blocks


def serve(app: Any, *, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serve the page until it is interrupted.

    Parameters
    ----------
    app : FastAPI
        What `make_app` returned.
    host : str, default="127.0.0.1"
        Where: this machine alone, unless it is told otherwise.
    port : int, default=7860
        Port.
    """
    import uvicorn

    uvicorn.run(app, host=host, port=port, log_level="warning")
