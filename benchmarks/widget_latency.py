"""How long a reader waits: from the move of a slider to the first painted frame of the new run, and frames a
second.

    python benchmarks/widget_latency.py [--moves 20] [--experiment MODULE:CLASS] [--knob NAME]

It starts JupyterLab and headless Chromium (both from the test set-up), opens a notebook with one widget, and
measures in the page itself (performance.now at the slider's input event and at the paint). Needs the `lab`
and `test` extras and Chromium. """

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from conftest import ARGUMENTS, Jupyter, chromium_path  # noqa: E402
from test_jupyterlab import Reader, write_notebook  # noqa: E402

# One move of a focused slider; resolves with the milliseconds until a frame of the new generation is painted.
MOVE = """async (root, [key, name]) => {
  const slider = root.querySelector(`[data-knob=${name}]`), gen = Number(root.dataset.gen);
  slider.focus();
  const at = performance.now();
  slider.value = Number(slider.value) + (key === "ArrowRight" ? 1 : -1);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  while (!(Number(root.dataset.gen) > gen && root.dataset.shown === root.dataset.gen)) {
    if (performance.now() - at > 20000) throw new Error("no frame within 20 s");
    await new Promise(requestAnimationFrame);
  }
  return performance.now() - at;
}"""
FRAMES = """async (root, seconds) => {
  const count = () => Number(root.dataset.painted), from = count(), step = Number(root.dataset.step), at =
  performance.now(); await new Promise((done) => setTimeout(done, 1000 * seconds)); const took =
  (performance.now() - at) / 1000; return { fps: (count() - from) / took, steps: (Number(root.dataset.step) -
  step) / took, phase: root.dataset.phase };
}"""


def measure(moves: int, module: str, name: str, knob: str) -> dict:
    """All numbers as a dictionary; times in milliseconds."""
    from playwright.sync_api import sync_playwright

    folder, home = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    write_notebook(
        folder / "latency.ipynb",
        f"from {module} import {name}\nfrom nde_lab.explore import explore",
        f"explore({name}, steps=1_000_000, autoplay=False)",
    )
    server = Jupyter(folder, home)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
            page = Reader(browser, server, "doc/tree/latency.ipynb")
            page.run_all()
            root = page.widget().element_handle()
            root.scroll_into_view_if_needed()
            page.page.wait_for_timeout(1000)
            first = root.evaluate(MOVE, ["ArrowRight", knob])
            times = []
            for i in range(moves):
                page.page.wait_for_timeout(700)
                times.append(root.evaluate(MOVE, ["ArrowLeft" if i % 2 else "ArrowRight", knob]))
            page.page.wait_for_timeout(1000)
            rate = root.evaluate(FRAMES, 6)
            if page.troubles:
                raise RuntimeError(f"console errors: {page.troubles}")
            browser.close()
    finally:
        server.close()
    return {
        "experiment": name,
        "first_move_of_a_fresh_kernel_ms": round(first, 1),
        "moves": moves,
        "median_ms": round(statistics.median(times), 1),
        "worst_ms": round(max(times), 1),
        "frames_per_second": round(rate["fps"], 1),
        "steps_per_second": round(rate["steps"], 1),
        "load_average": [round(v, 1) for v in os.getloadavg()],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--experiment", default="tests.toys:SineFit")
    parser.add_argument("--knob", default="width", help="a fixed range knob (a live one starts no new run)")
    given = parser.parse_args()
    print(json.dumps(measure(given.moves, *given.experiment.split(":"), given.knob), indent=1))
