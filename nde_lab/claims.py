"""Claims: what a paper says, what we measure, whether it holds. Failures are shown as failures.

A claim is a function that returns a ``Verdict``. Quick ones (under 5 s) run in every test run. Long ones
store their verdict, with the seeds, versions, cost and a hash of the code they ran, in
``nde_lab/<part>/results/<paper>.json``; ``stale`` says when that code has changed since.
"""
from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import json
import pkgutil
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
PARTS = ("sdes", "odes", "sequences", "diffusion", "bridges", "dynamics", "bayes", "pdes", "control")


@dataclass(frozen=True)
class Verdict:
    """measured: number, sentence or {name: number or list}; expected: a sentence with the bound; holds: the
    verdict."""
    measured: Any
    expected: str
    holds: bool
    note: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Claim:
    """One result of one paper. ``says`` is the paper's statement in our words, ``where`` its place in the
    paper."""
    function: Callable[[], Verdict]
    paper: str
    where: str
    says: str
    cost: str = "quick"
    seeds: int = 1
    uses: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.function.__name__

    def modules(self) -> list[str]:
        """The modules that this claim runs: its own, what that imports from its paper's package (followed
        further), and those named in ``uses``."""
        home = ".".join(self.function.__module__.split(".")[:3])
        found, waiting = set(self.uses), [self.function.__module__]
        while waiting:
            module = waiting.pop()
            found.add(module)
            waiting += [name for name in _imports(module, home) if name not in found]
        return sorted(found)

    def code_hash(self) -> str:
        """Hash of the program text of ``modules()``. What cannot change a number does not count: comments,
        docstrings, layout, the wording of a claim (its decorator), and functions that only describe a figure
        (``view``, ``..._view``)."""
        digest = hashlib.sha256()
        for module in self.modules():
            digest.update(f"{module} {_canonical(_tree(module))}".encode())
        return digest.hexdigest()[:16]

    @property
    def store(self) -> Path:
        """Where a long claim keeps its verdict: ``<part>/results/<paper>.json``."""
        return PACKAGE / self.function.__module__.split(".")[1] / "results" / f"{self.paper}.json"

    def run(self) -> dict:
        """Run now; returns the ledger's row (not stored)."""
        started = time.perf_counter()
        verdict = self.function()
        if not isinstance(verdict, Verdict):
            raise TypeError(f"claim {self.name} returned {type(verdict).__name__}; a claim returns a Verdict")
        return self._row(verdict=asdict(verdict), seconds=round(time.perf_counter() - started, 1))

    def stored(self) -> dict | None:
        """The stored row of a long claim, or None if it was never run."""
        if not self.store.exists():
            return None
        row = json.loads(self.store.read_text(encoding="utf-8")).get(self.name)
        return None if row is None else self._row(**row)

    def save(self) -> dict:
        """Run a long claim and store its verdict (other claims of the file are kept)."""
        import numpy
        import torch
        code = self.code_hash()          # of what is about to run, not of what was edited meanwhile
        row = self.run()
        stored = {"verdict": row["verdict"], "seconds": row["seconds"], "code_hash": code,
                  "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0],
                               "numpy": numpy.__version__}}
        rows = json.loads(self.store.read_text(encoding="utf-8")) if self.store.exists() else {}
        self.store.parent.mkdir(parents=True, exist_ok=True)
        partial = self.store.with_suffix(".part")
        text = json.dumps(rows | {self.name: stored}, indent=1, sort_keys=True, default=_plain)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(self.store)      # a stopped run leaves the old file whole
        return self._row(**stored)

    def stale(self) -> str:
        """A sentence if the stored result is missing or older than its code, else an empty string."""
        row = self.stored()
        again = f"run `nde-lab claims --paper {self.paper} --long`"
        if row is None:
            return f"claim {self.name} has no stored result; {again}"
        same = row["code_hash"] == self.code_hash()
        return "" if same else f"the code behind claim {self.name} has changed; {again}"

    def _row(self, **more) -> dict:
        return {"name": self.name, "paper": self.paper, "where": self.where, "says": self.says,
                "cost": self.cost, "seeds": self.seeds, **more}


def _tree(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"a claim uses the module {module!r}, which does not exist")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _canonical(node) -> str:
    """A syntax tree as text, the same for every Python version, without what ``code_hash`` leaves out."""
    if isinstance(node, list):
        return "[" + ",".join(map(_canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.FunctionDef) and (node.name == "view" or node.name.endswith("_view")):
        return "view"
    fields = dict(ast.iter_fields(node))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    if isinstance(node, ast.FunctionDef):
        fields["decorator_list"] = [d for d in node.decorator_list
                                    if getattr(getattr(d, "func", d), "id", "") != "claim"]
    shown = (f"{name}={_canonical(v)}" for name, v in fields.items() if v not in (None, []))
    return f"{type(node).__name__}({','.join(shown)})"


def _imports(module: str, home: str) -> set[str]:
    """The modules below ``home`` ("nde_lab.<part>.<paper>") that a module imports; the package itself only
    gathers names, so it does not count."""
    names = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = (name for name in names if name.startswith(f"{home}."))
    return {name for name in inside if _is_module(name)}


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:      # its parent is a module, so this is a name in it
        return False


def _plain(value):
    """Numbers of numpy and torch as JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a verdict holds numbers, sentences, lists and dicts, not {type(value).__name__}")


_CLAIMS: dict[tuple[str, str], Claim] = {}


def claim(*, paper: str, where: str, says: str, cost: str = "quick", seeds: int = 1,
          uses: tuple[str, ...] = ()):
    """Register a function as a claim: ``@claim(paper="...", where="Fig 3a", says="...")``.

    cost: "quick" (runs in every test run) or "long" (stored). seeds: how many the verdict rests on. uses:
    further modules whose change makes a stored result stale (the function's own module always counts).
    """
    if cost not in ("quick", "long"):
        raise ValueError(f'a claim costs "quick" or "long", got {cost!r}')

    def register(function):
        made = Claim(function, paper, where, says, cost, seeds, tuple(uses))
        _CLAIMS[paper, made.name] = made
        return function
    return register


def load_all() -> None:
    """Import every module of every part, so that all experiments and claims are registered (a paper is a
    module, or a package of modules)."""
    for part in PARTS:
        for module in pkgutil.iter_modules([str(PACKAGE / part)]):
            name = f"nde_lab.{part}.{module.name}"
            importlib.import_module(name)
            if module.ispkg:
                for inner in pkgutil.iter_modules([str(PACKAGE / part / module.name)]):
                    importlib.import_module(f"{name}.{inner.name}")


def claims(*, paper: str | None = None, module: str | None = None) -> list[Claim]:
    """All registered claims, or those of one paper, of one module ("nde_lab.sdes.brownian_motion", with what
    is below it), or both; an unknown paper, or nothing found, is a ValueError that says what there is."""
    load_all()
    known = sorted({p for p, _ in _CLAIMS})
    if paper is not None and paper not in known:
        raise ValueError(f"no claims for paper {paper!r}; papers with claims: {', '.join(known) or 'none'}")
    found = [c for (p, _), c in _CLAIMS.items() if paper in (None, p)
             and (module is None or f"{c.function.__module__}.".startswith(f"{module}."))]
    if module is not None and not found:
        homes = sorted({c.function.__module__ for c in _CLAIMS.values()})
        raise ValueError(f"no claims in module {module!r}; modules with claims: {', '.join(homes) or 'none'}")
    return found


def ledger(*, paper: str | None = None, module: str | None = None, long: bool = False,
           progress: Callable[[str], None] | None = None) -> list[dict]:
    """The rows of the ledger. Quick claims run now; long ones show their stored result, or re-run with
    ``long``."""
    rows = []
    for c in claims(paper=paper, module=module):
        if progress and (c.cost == "quick" or long):
            progress(f"running {c.paper}: {c.name} ...")
        if c.cost == "quick":
            rows.append(c.run())
        elif long:
            rows.append(c.save())
        else:
            rows.append((c.stored() or c._row()) | {"stale": c.stale()})
    return rows


def as_text(rows: list[dict]) -> str:
    """The ledger for a terminal: paper says / we measure / holds."""
    lines = []
    for row in rows:
        verdict = row.get("verdict")
        mark = "never run" if verdict is None else "holds" if verdict["holds"] else "DOES NOT HOLD"
        lines += [f"{row['paper']} | {row['name']} | {row['where']} | {mark}",
                  f"  paper says   {row['says']}"]
        if verdict:
            lines += [f"  we expect    {verdict['expected']}",
                      *_measured(verdict["measured"], verdict["unit"]),
                      *([f"  note         {verdict['note']}"] if verdict["note"] else []),
                      f"  cost         {row['cost']}, {row['seconds']} s, {row['seeds']} seed(s)"]
        if row.get("stale"):
            lines.append(f"  stale        {row['stale']}")
        lines.append("")
    held = sum(bool(r.get("verdict") and r["verdict"]["holds"]) for r in rows)
    return "\n".join([*lines, f"{held} of {len(rows)} claims hold"])


def _measured(measured, unit: str) -> list[str]:
    if isinstance(measured, dict):
        width = max(map(len, measured), default=0)
        return ["  we measure" + (f" ({unit})" if unit else ""),
                *(f"    {k:<{width}}  {_short(v)}" for k, v in measured.items())]
    return [f"  we measure   {_short(measured)}{' ' + unit if unit else ''}"]


def _short(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return "  ".join(_short(v) for v in value)
    return str(value)


def main_json(rows: list[dict]) -> str:
    """The ledger as JSON text."""
    return json.dumps(rows, indent=1, default=_plain)


def source_of(c: Claim) -> str:
    """Where a claim is written: module and line, for links."""
    return f"{sys.modules[c.function.__module__].__name__}:{inspect.getsourcelines(c.function)[1]}"
