"""Every notebook runs once: what the notebook test executes is what the book shows.

Executed notebooks lie in a jupyter-cache. That cache compares code cells only, so its folder carries a hash of the
package's own files: after a change in the library (or in the tags of a cell) the old outputs are not found again.
``pytest`` stores what nbmake ran (``notebooks/conftest.py``), the book's ``conf.py`` reads it, and the book runs by
itself only what nobody ran before.
"""
from __future__ import annotations

import copy
import functools
import hashlib
import re
import shutil
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
ROOT = PACKAGE.parent
BUILD = ROOT / "book" / "_build"
PREFIX = ".jupyter_cache-"
DAY = 86400
_TAGS = re.compile(r"^:?tags:.*$", re.MULTILINE)


@functools.cache
def package_hash() -> str:
    """A hash of all files of the package that can change an output (sources, front end, stored results)."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in {".py", ".js", ".css", ".wasm", ".json", ".npz", ".wat", ".ts"} and path.is_file():
            digest.update(path.relative_to(PACKAGE).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where executed notebooks of this very package lie. Folders of other versions are removed after a day (another
    process may be using one now)."""
    digest = hashlib.sha256(package_hash().encode())
    for path in sorted([*ROOT.glob("notebooks/**/*.md"), *ROOT.glob("book/*.md")]):
        # A cached cell comes back with the tags it was stored with.
        digest.update("\n".join(_TAGS.findall(path.read_text(encoding="utf-8"))).encode())
    folder = BUILD / f"{PREFIX}{digest.hexdigest()[:12]}"
    for other in BUILD.glob(f"{PREFIX}*"):
        if other != folder and time.time() - other.stat().st_mtime > DAY:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def store(executed, ipynb: Path) -> bool:
    """Keep the outputs of ``executed`` (a notebook node, run without error from ``ipynb``) for the book.

    The book reads the paired MyST Markdown, so outputs are put under that file's cells. Returns False, and stores
    nothing, where there is no pair or where its code differs (the test of the pairs says which line).
    """
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    text = ipynb.with_suffix(".md")
    if not text.exists():
        return False
    paired = read_markdown(text)
    ours = [c for c in paired.cells if c.cell_type == "code"]
    theirs = [c for c in executed.cells if c.cell_type == "code"]
    if [c.source.strip() for c in ours] != [c.source.strip() for c in theirs]:
        return False
    for cell, ran in zip(ours, theirs, strict=True):
        cell.outputs, cell.execution_count = copy.deepcopy(ran.outputs), ran.execution_count
    if "language_info" in executed.metadata:
        paired.metadata["language_info"] = executed.metadata["language_info"]
    get_cache(str(cache_folder())).cache_notebook_bundle(CacheBundleIn(paired, str(text)), check_validity=False,
                                                         overwrite=True)
    return True


def read_markdown(path: Path):
    """A MyST Markdown notebook as the book reads it (its cells' sources enter the cache's key)."""
    from myst_nb.core.read import read_myst_markdown_notebook
    from myst_parser.config.main import MdParserConfig
    enabled = {"dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline", "attrs_block"}
    return read_myst_markdown_notebook(path.read_text(encoding="utf-8"), MdParserConfig(enable_extensions=enabled),
                                       path=path)
