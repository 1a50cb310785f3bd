"""What a reader sees in JupyterLab 4 and in Notebook 7: cells run, a slider moves, the picture changes."""

from __future__ import annotations

import time
from pathlib import Path

import nbformat
import pytest

from tests.browser.driving import Widget

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(
    p for p in (ROOT / "notebooks").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in p.parts and "explore(" in p.read_text(encoding="utf-8")
)
pytestmark = pytest.mark.browser

TOY = """from tests.toys import SineFit
from nde_lab.explore import explore
toy = explore(SineFit, steps=20_000, title="A network learns a sine")
toy"""
BROKEN = """from tests.explore.test_kernel import Counter
broken = explore(Counter, fail_at=5)
broken"""
THREADS = """import threading
print("alive:", sorted(t.name for t in threading.enumerate() if t.name.startswith("nde-lab-")), "end")"""
FRONTS = {"lab": "doc/tree/", "notebook7": "notebooks/"}


def write_notebook(path: Path, *cells: str) -> None:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, path)


class Reader:
    """A page of a running Jupyter, and what went wrong on it."""

    def __init__(self, browser, server, address: str, **context):
        self.context = browser.new_context(viewport={"width": 1280, "height": 1000}, **context)
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("console", lambda m: self.troubles.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.troubles.append(str(e)))
        self.page.goto(server.url(address))
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        # "Run All" before the kernel answers makes Jupyter ask which kernel to take, or do nothing.
        end = time.monotonic() + 60
        while not server.connected(address.rsplit("/", 1)[1]):
            assert time.monotonic() < end, "no kernel came"
            self.page.wait_for_timeout(200)
        self.wait_idle(60)
        self.page.wait_for_timeout(500)

    def wait_idle(self, seconds: float) -> None:
        self.page.wait_for_selector(
            ".jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached", timeout=1000 * seconds
        )

    def run_all(self, seconds: float = 90) -> None:
        """Run all cells; returns once the first one has been taken up. A kernel that is not yet connected
        makes Jupyter ask for one, or do nothing: hence the patience."""
        prompts, end = self.page.locator(".jp-CodeCell .jp-InputPrompt"), time.monotonic() + seconds
        while True:
            self.page.get_by_role("menuitem", name="Run", exact=True).click()
            self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            for _ in range(20):
                self.page.wait_for_timeout(200)
                if (accept := self.page.locator(".jp-Dialog .jp-mod-accept")).count():
                    accept.click()
                if {text.strip() for text in prompts.all_text_contents()} - {"[ ]:", ""}:
                    # Notebook 7.6 logs troubles of its own while it loads; ours can only begin now.
                    self.troubles.clear()
                    return
            assert time.monotonic() < end, "the notebook runs no cell"

    def run_cell(self, at: int) -> str:
        """Run one cell and give its text output."""
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").nth(at)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        return cell.locator(".jp-OutputArea-output").last.inner_text(timeout=30_000)

    def widget(self, at: int = 0, seconds: float = 90):
        """The widget number ``at``, scrolled into view and painted. Cells above it may still grow, and push it out of
        view again, where it rests: so it is scrolled to until it has painted."""
        found, end = self.page.locator(".ndl-root").nth(at), time.monotonic() + seconds
        found.wait_for(state="attached", timeout=1000 * seconds)
        while not found.evaluate("e => e.dataset.painted > 0"):
            assert time.monotonic() < end, f"widget {at} has painted nothing: {found.inner_text()[-300:]}"
            found.scroll_into_view_if_needed()
            self.page.wait_for_timeout(200)
        return found

    def picture(self, widget) -> str:
        return widget.locator("canvas").evaluate("(c) => c.toDataURL()")

    def wait(self, widget, condition: str, seconds: float = 20) -> None:
        self.page.wait_for_function(
            f"(e) => {condition}", arg=widget.element_handle(), timeout=1000 * seconds
        )


@pytest.fixture
def reader(browser, jupyter):
    opened = []

    def open_(address, **context):
        opened.append(Reader(browser, jupyter, address, **context))
        return opened[-1]

    yield open_
    for one in opened:
        one.context.close()
    jupyter.end_kernels()


def colours(reader, widget) -> int:
    """How many different colours the picture has: a blank canvas has one."""
    return widget.locator("canvas").evaluate(
        "(c) => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
    )


@pytest.mark.parametrize("front", FRONTS)
def test_a_slider_moved_by_keyboard_changes_the_picture(front, reader, jupyter):
    write_notebook(jupyter.folder / f"{front}.ipynb", TOY, THREADS)
    page = reader(f"{FRONTS[front]}{front}.ipynb")
    page.run_all()
    toy = page.widget()
    assert colours(page, toy) > 10
    assert toy.locator(".ndl-badge").inner_text() == "live: trained now by the kernel"
    page.wait(toy, "Number(e.dataset.step) > 0")

    slider = toy.locator("input[data-knob=width]")
    slider.focus()
    before, said, gen = (
        page.picture(toy),
        slider.get_attribute("aria-valuetext"),
        toy.get_attribute("data-gen"),
    )
    for _ in range(5):
        page.page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") != said, "the notebook ate the arrow keys"
    page.wait(toy, f"Number(e.dataset.gen) > {gen} && e.dataset.shown === e.dataset.gen")
    page.wait(toy, "Number(e.dataset.step) > 100")
    assert page.picture(toy) != before

    toy.get_by_role("button", name="Pause").click()
    page.page.wait_for_timeout(400)
    held = page.picture(toy)
    page.page.wait_for_timeout(400)
    assert page.picture(toy) == held and toy.locator(".ndl-status").inner_text().startswith("paused at step")
    toy.get_by_role("button", name="Run", exact=True).click()
    page.wait(
        toy, f"e.dataset.phase === 'running' && Number(e.dataset.step) > {toy.get_attribute('data-step')}"
    )

    assert "nde-lab-SineFit" in page.run_cell(1)
    page.page.locator(".jp-Notebook .jp-CodeCell").first.locator(".jp-InputArea-prompt").click()
    page.page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.page.get_by_role("menuitem", name="Clear Cell Output").or_(
        page.page.get_by_role("menuitem", name="Clear Output", exact=True)
    ).first.click()
    toy.wait_for(state="detached", timeout=10_000)
    page.page.wait_for_timeout(300)
    assert "alive: [] end" in page.run_cell(1), "closing the output left a thread behind"
    assert page.troubles == []


def test_after_run_all_pictures_come_while_cells_still_run(reader, jupyter):
    """The front end's messages must not wait for the cells that Run All has queued behind the widget."""
    write_notebook(jupyter.folder / "busy.ipynb", TOY, "import time\ntime.sleep(25)\nprint('slept')", "1")
    page = reader("doc/tree/busy.ipynb")
    page.run_all()
    toy = page.widget()
    page.wait(toy, "Number(e.dataset.live) > 0")
    slider, gen = toy.locator("input[data-knob=width]"), toy.get_attribute("data-gen")
    slider.focus()
    page.page.keyboard.press("ArrowRight")
    page.wait(toy, f"Number(e.dataset.gen) > {gen} && e.dataset.shown === e.dataset.gen")
    prompts = [text.strip() for text in page.page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()]
    assert prompts[1] == "[*]:", f"the cell behind had ended, so nothing was tested: {prompts}"
    assert page.troubles == []


def test_python_moves_the_sliders_and_errors_appear_in_the_widget(reader, jupyter):
    write_notebook(
        jupyter.folder / "python.ipynb", TOY, BROKEN, "toy.set(width=32)", "print(broken.error[-60:])"
    )
    page = reader("doc/tree/python.ipynb")
    page.run_all()
    toy = page.widget()
    page.wait(toy, "e.querySelector('[data-knob=width]').getAttribute('aria-valuetext') === '32'")
    broken = page.widget(1)
    page.wait(broken, "e.dataset.phase === 'failed'")
    assert "RuntimeError: the counter was told to fail" in broken.locator(".ndl-status").inner_text()
    assert "the counter was told to fail" in page.run_cell(3)
    assert page.troubles == []


def makes_widgets(cell) -> int:
    """How many widgets a cell shows."""
    return cell.source.count("\nexplore(") + cell.source.startswith("explore(") if cell.cell_type == "code" else 0


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_every_widget_of_a_chapter_answers_its_sliders(chapter, reader, jupyter):
    """The kernel's answer to the first control of each widget, at both of its ends. (All other controls are driven
    in the built book, by the same experiments; all other cells run once, as notebooks.)"""
    whole = nbformat.read(chapter, as_version=4)
    whole.cells = [c for c in whole.cells if "setup" in c.metadata.get("tags", ()) or makes_widgets(c)]
    nbformat.write(whole, jupyter.folder / chapter.name)
    page = reader(f"doc/tree/{chapter.name}")
    page.run_all()
    page.page.wait_for_timeout(1000)
    page.wait_idle(180)
    wanted = sum(makes_widgets(c) for c in whole.cells)
    at, mute, roots = 0, [], page.page.locator(".ndl-root")
    while at < max(1, wanted, roots.count()):       # cells further down are attached as one scrolls
        shown = page.widget(at, seconds=180)
        page.wait(shown, "Number(e.dataset.live) > 0")
        assert colours(page, shown) > 10, f"widget {at} is blank"
        widget = Widget(page.page, shown.element_handle())
        first, *_ = widget.controls()
        try:
            widget.answers(first, first.places()[-2:])
        except AssertionError as trouble:
            mute.append(f"widget {at}: {trouble}")
        widget.rest()
        at += 1
    assert mute == [] and page.troubles == []
