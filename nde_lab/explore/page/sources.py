"""Which files of the package a module's results depend on: those that it imports, directly or through others."""
from __future__ import annotations

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path


def imported(module: str) -> dict[str, Path]:
    """The module and all modules of ``nde_lab`` that it imports at any depth (also inside functions): name -> file.

    A module outside the package counts, its imports outside the package do not. Raises ValueError for a module that has
    no file.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin or not spec.origin.endswith(".py"):
            if name == module:
                raise ValueError(f"module {module!r} has no source file to look at")
            continue
        found[name] = Path(spec.origin)
        is_package = spec.submodule_search_locations is not None
        waiting += _names(name, is_package, ast.parse(found[name].read_text(encoding="utf-8")))
    return found


def _names(module: str, is_package: bool, tree: ast.Module) -> list[str]:
    base = module.split(".") if is_package else module.split(".")[:-1]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = [*(base[:len(base) - node.level + 1] if node.level else []), *([node.module] if node.module else [])]
            names += [".".join(parts), *(".".join([*parts, a.name]) for a in node.names)]
    return [n for n in names if n.split(".")[0] == "nde_lab" and _is_module(n)]


@cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:       # a name inside a module: `from nde_lab.random import Normal`
        return False


def code_hash(module: str) -> str:
    """A hash of the files of ``imported(module)``."""
    digest = hashlib.sha256()
    for name, path in sorted(imported(module).items()):
        digest.update(name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
