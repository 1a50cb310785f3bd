"""The built book in headless Chromium: every widget of every page, found by itself, over http and from disk."""
from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from functools import partial

import pytest
from bookbuild import build, pages
from toys import SineFit

from nde_lab.explore.page import static_html
from nde_lab.explore.spec import explorer
from tests.browser.driving import Widget

pytestmark = pytest.mark.browser

PREFIX = "/some/project"      # a project page lives below its host's root
# What a reader sees of a widget, and whether all that it drew was finite.
LOOK = """place => {
  const root = place.querySelector('.ndl-root'), frame = place.ndlWidget?.frame;
  const all = frame ? [...Object.values(frame.history), ...Object.values(frame.arrays).map(a => a.data)] : [];
  return { state: place.dataset.ndlState, phase: root?.dataset.phase, painted: Number(root?.dataset.painted ?? 0),
    gen: Number(root?.dataset.gen ?? 0), shown: root?.dataset.shown, badge: root?.querySelector('.ndl-badge').textContent,
    status: root?.querySelector('.ndl-status').textContent, note: root?.querySelector('.ndl-note').textContent,
    step: frame?.step ?? -1, finite: all.every(a => a.every(Number.isFinite)), numbers: all.reduce((n, a) => n + a.length, 0) };
}"""
PIXELS = """place => {
  const canvas = place.querySelector('canvas'), copy = new OffscreenCanvas(canvas.width, canvas.height);
  const ctx = copy.getContext('2d', { willReadFrequently: true });      // reading the widget's own canvas would slow it
  ctx.drawImage(canvas, 0, 0);
  const data = ctx.getImageData(0, 0, canvas.width, canvas.height).data;
  let hash = 0, ink = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 0) ink++;
    hash = (Math.imul(hash, 31) + data[i] + 3 * data[i + 1] + 7 * data[i + 2]) | 0;
  }
  return [hash, ink];
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain static server whose root is at PREFIX; everything else does not exist."""

    def translate_path(self, path):
        return super().translate_path(path[len(PREFIX):] if path.startswith(PREFIX + "/") else "/no/such/place")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def bases():
    """Where the book is: over http at a sub-path, and on disk."""
    made = build()
    assert made.code == 0, made.output[-3000:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(made.folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"http": f"http://127.0.0.1:{server.server_port}{PREFIX}", "file": made.folder.as_uri()}
    server.shutdown()
    server.server_close()


@contextmanager
def opened(browser, url: str, base: str, *, script: str = "", **options):
    """A page that fails the test when it logs an error or asks for anything outside ``base``."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
    page, trouble = context.new_page(), []
    page.on("console", lambda m: trouble.append(f"console {m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: trouble.append(f"error: {e}"))
    page.on("request", lambda r: trouble.append(f"request: {r.url[:200]}")
            if not r.url.startswith((base, "data:", "blob:")) else None)
    # An icon that is still on its way when the page closes is "aborted"; without JavaScript, scripts "fail".
    page.on("requestfailed", lambda r: trouble.append(f"failed: {r.url[:200]} {r.failure}")
            if not r.url.startswith("blob:") and "ERR_ABORTED" not in str(r.failure)
            and options.get("java_script_enabled", True) else None)
    page.on("response", lambda r: trouble.append(f"{r.status}: {r.url[:200]}") if r.status >= 400 else None)
    if script:
        page.add_init_script(script)
    page.goto(url)
    yield page
    context.close()
    assert trouble == []


def until(page, place, condition: str, *, seconds: float = 20, follow: bool = False):
    """Wait for a condition on ``s`` (see LOOK); the last look is in the message if it does not come.
    ``follow``: keep the widget in view meanwhile."""
    look = f"place => {{ const s = ({LOOK})(place); return {condition}; }}"
    for _ in range(int(seconds / 0.05)):
        if follow:
            place.scroll_into_view_if_needed()
        if place.evaluate(look):
            return place.evaluate(LOOK)
        page.wait_for_timeout(50)
    raise AssertionError(f"waited {seconds} s for {condition}; the widget says {place.evaluate(LOOK)}")


def begin(page, place) -> dict:
    """Scroll to a widget; it starts by itself, draws, and trains. (Those above may still grow and push it away.)"""
    until(page, place, "s.state === 'started' && s.painted > 0", follow=True)
    return until(page, place, "s.step > 0 && s.painted > 1")


def check(look: dict) -> None:
    assert look["finite"] and look["numbers"] > 0, look
    assert look["badge"].startswith(("live: trained now in this page", "stored run at ")), look
    assert look["phase"] in ("running", "finished", "diverged", "ready"), look
    assert not look["note"], look


def with_widgets() -> list[str]:
    """Pages of the built book that have widgets, as addresses below its root."""
    return [p.relative_to(build().folder).as_posix() for p in pages() if "ndl-embed" in p.read_text(encoding="utf-8")]


def widgets(page):
    """The widgets of a page from top to bottom, each seen, started and looked at."""
    for place in page.query_selector_all(".ndl-embed"):
        check(begin(page, place))
        yield place, Widget(page, place.query_selector(".ndl-root"))


def test_every_widget_of_every_page_trains_and_answers_each_control(browser, bases):
    """Each control to each of its places, by keyboard. All that does not answer is told together."""
    found, mute, driven = with_widgets(), [], 0
    assert "book/index.html" in found
    for address in found:
        with opened(browser, f"{bases['http']}/{address}", bases["http"]) as page:
            for place, widget in widgets(page):
                for control in widget.controls():
                    try:
                        widget.answers(control)
                        check(place.evaluate(LOOK))
                    except AssertionError as trouble:
                        mute.append(f"{address}: {trouble}")
                    driven += 1
                pixels, ink = place.evaluate(PIXELS)
                assert ink > 500
                widget.rest()
    assert not mute, "\n".join(mute)
    assert driven > 2 * len(found)


def test_the_book_works_from_disk(browser, bases):
    """Every widget starts and trains; what its controls do was seen over http."""
    for address in with_widgets():
        with opened(browser, f"{bases['file']}/{address}", bases["file"]) as page:
            for at, (_, widget) in enumerate(widgets(page)):
                if at == 0:
                    widget.answers(widget.controls()[0])
                widget.rest()


def test_all_pages_ask_nothing_of_anybody(browser, bases):
    for path in pages():
        address = path.relative_to(build().folder).as_posix()
        with opened(browser, f"{bases['http']}/{address}", bases["http"]) as page:
            page.wait_for_load_state("networkidle")


def test_the_root_leads_to_the_book_and_search_finds_words(browser, bases):
    for base in bases.values():
        with opened(browser, f"{base}/index.html", base) as page:
            page.wait_for_url("**/book/index.html", timeout=5000)
    with opened(browser, f"{bases['http']}/search.html?q=tamed", bases["http"]) as page:
        page.wait_for_selector("#search-results li", timeout=10000)


def test_formulas_are_set_without_a_network(browser, bases):
    with opened(browser, f"{bases['file']}/book/glossary.html", bases["file"]) as page:
        page.wait_for_selector("mjx-container svg", timeout=10000)


def test_nothing_runs_before_it_is_seen(browser, bases):
    with opened(browser, f"{bases['http']}/book/index.html", bases["http"], script="window.ndlWorkers = 0; "
                "window.Worker = class extends Worker { constructor(u) { super(u); window.ndlWorkers++; } };") as page:
        page.set_viewport_size({"width": 1200, "height": 120})
        page.reload()
        page.wait_for_timeout(400)
        place = page.query_selector(".ndl-embed")
        assert page.evaluate("window.ndlWorkers") == 0 and place.get_attribute("data-ndl-state") is None
        begin(page, place)
        assert page.evaluate("window.ndlWorkers") == 1


def test_a_link_restores_knobs_and_seed(browser, bases):
    url = f"{bases['http']}/book/index.html#ndl=RotationNoise&sigma=0.5&seed=11"
    with opened(browser, url, bases["http"]) as page:
        place = page.query_selector(".ndl-embed[data-name=RotationNoise]")
        until(page, place, "s.painted > 0")
        assert place.evaluate("p => p.ndlWidget.frame.seed") == 11
        assert place.evaluate("p => p.ndlWidget.values.sigma") == 0.5


def test_paper_gets_the_still_with_text_and_settings(browser, bases):
    with opened(browser, f"{bases['http']}/book/index.html", bases["http"]) as page:
        place = page.query_selector(".ndl-embed")
        begin(page, place)
        image, root = place.query_selector(".ndl-paper img"), place.query_selector(".ndl-root")
        assert root.is_visible() and not image.is_visible()
        page.emulate_media(media="print")
        assert image.is_visible() and not root.is_visible()
        assert len(image.get_attribute("alt")) > 40
        assert "seed 0" in place.query_selector("figcaption").inner_text()
        assert image.evaluate("i => i.naturalWidth") > 500


@pytest.mark.parametrize("name", ["Worker", "WebAssembly"])
def test_a_browser_that_lacks_something_says_so_and_trains(browser, bases, name):
    word = {"Worker": "without a worker", "WebAssembly": "without WebAssembly"}[name]
    with opened(browser, f"{bases['http']}/book/index.html", bases["http"], script=f"delete window.{name};") as page:
        place = page.query_selector(".ndl-embed")
        look = begin(page, place)
        check(look)
        assert word in look["badge"], look
        assert place.query_selector(".ndl-paper img")


def test_without_javascript_the_still_is_there(browser, bases):
    with opened(browser, f"{bases['http']}/book/index.html", bases["http"], java_script_enabled=False) as page:
        assert page.query_selector(".ndl-embed .ndl-paper img").is_visible()
        assert "JavaScript" in page.query_selector(".ndl-embed noscript").inner_text()


def test_a_widget_that_cannot_be_made_leaves_still_and_sentence(browser, bases):
    with opened(browser, f"{bases['http']}/book/index.html", bases["http"], script="delete window.ResizeObserver;") as page:
        place = page.query_selector(".ndl-embed")
        place.scroll_into_view_if_needed()
        page.wait_for_selector(".ndl-sorry", timeout=5000)
        assert "cannot come alive in this browser" in page.query_selector(".ndl-sorry").inner_text()
        assert place.query_selector(".ndl-paper img").is_visible()


def test_reduced_motion_waits_for_the_reader(browser, bases):
    with opened(browser, f"{bases['http']}/book/index.html", bases["http"], reduced_motion="reduce") as page:
        place = page.query_selector(".ndl-embed")
        place.scroll_into_view_if_needed()
        until(page, place, "s.painted > 0")
        page.wait_for_timeout(500)
        assert place.evaluate(LOOK)["step"] == 0
        place.query_selector("button:has-text('Run')").press("Enter")
        until(page, place, "s.step > 0")


def test_a_phone_shows_everything_without_sideways_scrolling(browser, bases):
    for address in with_widgets():
        with opened(browser, f"{bases['http']}/{address}", bases["http"]) as page:
            page.set_viewport_size({"width": 360, "height": 740})
            for place in page.query_selector_all(".ndl-embed"):
                begin(page, place)
                inside = place.evaluate("p => p.querySelector('.ndl-root').scrollWidth <= p.querySelector('.ndl-root').clientWidth + 1")
                assert inside and place.evaluate("p => p.getBoundingClientRect().right") <= 361
            assert page.evaluate("document.documentElement.scrollWidth") <= 361


def test_a_widget_stands_alone_in_any_page(browser, tmp_path):
    """The HTML with its scripts inside (a notebook's export, say), opened from disk."""
    page_file = tmp_path / "alone.html"
    html = static_html(explorer(SineFit, controls=["lr"]), shared=False)
    page_file.write_text(f"<!doctype html><meta charset=utf-8><title>alone</title><p style='height:2000px'>above</p>{html}",
                         encoding="utf-8")
    with opened(browser, page_file.as_uri(), page_file.as_uri()) as page:
        check(begin(page, page.query_selector(".ndl-embed")))
