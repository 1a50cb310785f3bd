"""Lowered modules kept on disk, so that a later process need not trace again.

A file holds WebAssembly, which can do nothing outside its own memory, and a description in JSON; nothing in it
is executed when it is read. Files lie in the user's cache folder (``folder()``), never beside the code, under
a hash of all that they depend on; the oldest go when there are more than ``KEEP``.
"""
from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path

from nde_lab.lowering import Assembled, Place

KEEP = 300
_VARIABLE = "NDE_LAB_CACHE"


def folder() -> Path:
    """``$NDE_LAB_CACHE`` if that is set, else the platform's cache folder for this user."""
    if given := os.environ.get(_VARIABLE):
        return Path(given) / "native"
    home = Path.home()
    base = (Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local")) if sys.platform == "win32"
            else home / "Library/Caches" if sys.platform == "darwin"
            else Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache"))
    return base / "nde_lab" / "native"


@cache
def versions() -> str:
    """What every file depends on besides its own key: torch, and the code that traces and lowers."""
    import torch
    digest = hashlib.sha256(torch.__version__.encode())
    root = Path(__file__).parents[1]
    for part in ("autodiff", "lowering", "native"):
        for path in sorted((root / part).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def package_hash() -> str:
    """A hash of all program text of the package: what the class of an experiment in it may depend on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def path_of(key: str) -> Path:
    return folder() / f"{hashlib.sha256((versions() + key).encode()).hexdigest()[:32]}.json"


def save(key: str, made: Assembled, dtypes: dict[str, list[str]]) -> None:
    """Keep a module under ``key``; silently not, where the folder cannot be written."""
    _write(key, json.dumps({
        "wasm": base64.b64encode(made.wasm).decode(), "pages": made.pages, "dtypes": dtypes,
        "constants": [[offset, base64.b64encode(values).decode()] for offset, values in made.constants],
        "programs": {name: {kind: [asdict(p) for p in places] for kind, places in program.items()}
                     for name, program in made.programs.items()}}))


def save_refusal(key: str, sentence: str) -> None:
    """Keep why there is no module, so that nobody tries again before the code changes."""
    _write(key, json.dumps({"refused": sentence}))


def _write(key: str, text: str) -> None:
    path = path_of(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.replace(part, path)           # a reader sees the whole file or none
        _prune(path.parent)
    except OSError:
        return


def load(key: str) -> tuple[Assembled, dict[str, list[str]]] | str | None:
    """What ``save`` kept, the sentence of ``save_refusal``, or None (also for a file that is damaged)."""
    try:
        spec = json.loads(path_of(key).read_text(encoding="utf-8"))
        if "refused" in spec:
            return str(spec["refused"])
        made = Assembled(
            base64.b64decode(spec["wasm"]), spec["pages"],
            [(offset, base64.b64decode(values)) for offset, values in spec["constants"]],
            {name: {kind: [Place(**{**p, "shape": tuple(p["shape"])}) for p in places]
                    for kind, places in program.items()} for name, program in spec["programs"].items()})
        return made, spec["dtypes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _prune(where: Path) -> None:
    files = sorted(where.glob("*.json"), key=lambda p: p.stat().st_mtime)
    for path in files[:-KEEP]:
        path.unlink(missing_ok=True)
