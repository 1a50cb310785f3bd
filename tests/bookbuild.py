"""The built book, once per test run (notebooks that were already run are not run again)."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Built:
    """The folder of the pages, what sphinx said, and how long it took."""
    folder: Path
    output: str
    code: int
    seconds: float


@cache
def build() -> Built:
    """``sphinx-build -W`` into book/_build/html. Every page is read anew: a warning does not hide in an old state."""
    folder, started = ROOT / "book" / "_build" / "html", time.monotonic()
    done = subprocess.run([sys.executable, "-m", "sphinx", "-W", "--keep-going", "-E", "-q", "-c", "book", "-b", "html", ".",
                           str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=1800,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    return Built(folder, done.stdout + done.stderr, done.returncode, time.monotonic() - started)


def pages() -> list[Path]:
    """All HTML pages of the built book."""
    return sorted(p for p in build().folder.rglob("*.html") if "_static" not in p.parts)
