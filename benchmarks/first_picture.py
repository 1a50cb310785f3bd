"""How long a reader waits for a picture in JupyterLab: a chapter is opened, and Run All is pressed.

    python benchmarks/first_picture.py [--chapter sdes/stable_neural_sdes] [--clone]

For every figure of the chapter: seconds from Run All to its first picture (the reader scrolls to each figure
in turn as soon as it is there), and to the first frame of its live run. ``--clone`` begins earlier: the
repository is cloned into an empty folder, ``start.py lab`` sets it up (with whatever the package cache of uv
holds), and time counts from the clone. Needs the `lab` and `test` extras and Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from conftest import ARGUMENTS, Jupyter, chromium_path, free_port  # noqa: E402
from test_jupyterlab import Reader  # noqa: E402

# Runs in the page from Run All on: scrolls to the figures in turn and notes when each was painted, and by whom.
WATCH = """async ([figures, patience]) => {
  const begin = performance.now(), seconds = () => Math.round(performance.now() - begin) / 1000, seen = [];
  const pause = () => new Promise((done) => setTimeout(done, 50));
  while (seen.length < figures && seconds() < patience) {
    const root = document.querySelectorAll(".ndl-root")[seen.length];
    if (!root) {
      // Figures below the fold are mounted when they come near: scroll on.
      const cells = document.querySelector(".jp-WindowedPanel-outer, .jp-Notebook");
      if (cells) cells.scrollTop += 300;
      await pause();
      continue;
    }
    root.scrollIntoView({ block: "center" });
    const entry = { there: seconds() };
    seen.push(entry);
    const end = seconds() + 30;
    while (!(Number(root.dataset.painted) > 0) && seconds() < end) await pause();
    entry.picture = Number(root.dataset.painted) > 0 ? seconds() : null;
    while (!(Number(root.dataset.live ?? 0) > 0) && seconds() < end) await pause();
    entry.live = Number(root.dataset.live ?? 0) > 0 ? seconds() : null;
    entry.said = root.querySelector(".ndl-status")?.textContent;
  }
  return seen;
}"""


class Clone:
    """The two lines of the README in an empty folder. Looks like the tests' ``Jupyter`` to a ``Reader``."""

    def __init__(self):
        folder = Path(tempfile.mkdtemp())
        self.begin = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", ROOT, folder / "nde_lab"], check=True)
        self.process = subprocess.Popen(
            [sys.executable, "start.py", "lab", "--no-browser", "--port", str(free_port())],
            cwd=folder / "nde_lab", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            if found := re.search(r"(http://[^/]+)/lab\S*token=(\w+)", line):
                self.address, self.token = found.groups()
                break
        else:
            raise RuntimeError("start.py lab printed no address")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.ready = time.monotonic() - self.begin

    def url(self, path: str) -> str:
        return f"{self.address}/{path}?token={self.token}"

    connected = Jupyter.connected

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def measure(chapter: str, patience: float, *, clone: bool = False) -> dict:
    from playwright.sync_api import sync_playwright

    figures = (ROOT / "notebooks" / f"{chapter}.md").read_text(encoding="utf-8").count("\nexplore(")
    if clone:
        server, path = Clone(), f"doc/tree/notebooks/{chapter}.ipynb"
    else:
        folder = Path(tempfile.mkdtemp())         # JupyterLab saves what it opens: a copy is enough
        shutil.copy(ROOT / "notebooks" / f"{chapter}.ipynb", folder)
        server, path = Jupyter(folder, Path(tempfile.mkdtemp())), f"doc/tree/{Path(chapter).name}.ipynb"
    found = {"chapter": chapter, "figures": figures}
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
            reader = Reader(browser, server, path)
            reader.run_all()
            if clone:
                begun = time.monotonic() - server.begin
                found |= {"clone_to_address": round(server.ready, 1), "clone_to_run_all": round(begun, 1)}
            found["seconds_after_run_all"] = seen = reader.page.evaluate(WATCH, [figures, patience])
            if clone:
                found["clone_to_first_picture"] = round(begun + seen[0]["picture"], 1)
            browser.close()
    finally:
        server.close()
    return found | {"load_average": [round(v, 1) for v in os.getloadavg()]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chapter", default="sdes/stable_neural_sdes")
    parser.add_argument("--patience", type=float, default=180)
    parser.add_argument("--clone", action="store_true")
    given = parser.parse_args()
    print(json.dumps(measure(given.chapter, given.patience, clone=given.clone), indent=1))
