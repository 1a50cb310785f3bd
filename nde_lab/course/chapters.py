"""The exercises of a chapter, read from its Markdown source (the form is described in ``nde_lab.exercises``)."""
from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

BLANK, CHECK, SOLUTION = "exercise-blank", "exercise-check", "exercise-solution"
ROLES = (BLANK, CHECK, SOLUTION)


@dataclass(frozen=True)
class Task:
    """One exercise: the sources of its three cells, and what it is worth (``points`` of the check cell, else 1)."""
    name: str
    blank: str
    check: str
    solution: str
    points: float = 1.0

    @property
    def solved(self) -> str:
        """The solution as an answer: under the reader's names, without a check of its own.

        Raises ValueError if the two checks do not call one thing with as many arguments.
        """
        asked, shown = _call(self.check), _call(self.solution)
        if ast.unparse(asked.func) != ast.unparse(shown.func) or len(asked.args) != len(shown.args):
            raise ValueError(f"exercise {self.name}: {ast.unparse(asked)} and the solution's {ast.unparse(shown)} differ")
        lines = self.solution.splitlines()[:shown.lineno - 1]
        lines += [f"{ast.unparse(name)} = {ast.unparse(value)}"
                  for name, value in zip(asked.args, shown.args, strict=True)]
        return "\n".join(lines).strip()

    @property
    def graded(self) -> str:
        """The check as a cell that stops with an error unless the answer obeys."""
        end = _call(self.check)
        lines = self.check.splitlines()[:end.end_lineno]
        return "\n".join(lines)[:len("\n".join(lines)) - len(lines[-1]) + end.end_col_offset] + ".require()"


@dataclass(frozen=True)
class Chapter:
    """A chapter: its name (``sdes/brownian_motion``), its cells, the sources of its setup cells, its exercises."""
    name: str
    notebook: object
    setup: tuple[str, ...]
    tasks: dict[str, Task]

    @property
    def stem(self) -> str:
        return self.name.rpartition("/")[2]


def tags(cell) -> list[str]:
    return cell["metadata"].get("tags", [])


def role(cell) -> str | None:
    """Which of the three cells of an exercise this is, if any."""
    return next((r for r in ROLES if r in tags(cell)), None)


def read_chapter(file: Path, name: str) -> Chapter:
    """Read one chapter. Raises ValueError, naming it, if an exercise does not have its three cells."""
    import jupytext
    notebook = jupytext.read(file)
    setup, found = [], {}
    for cell in notebook.cells:
        if "setup" in tags(cell):
            setup.append(cell.source)
        if role(cell):
            found.setdefault(cell.metadata.get("exercise"), {})[role(cell)] = cell
    tasks = {}
    for exercise, cells in found.items():
        if not exercise or set(cells) != set(ROLES):
            raise ValueError(f"chapter {name}: exercise {exercise!r} has the cells {', '.join(cells)}; it needs one each "
                             f"of {', '.join(ROLES)}, with one `exercise` name in their metadata")
        sources = (cells[r].source for r in ROLES)
        tasks[exercise] = Task(exercise, *sources, points=float(cells[CHECK].metadata.get("points", 1)))
    return Chapter(name, notebook, tuple(setup), tasks)


def find_chapters(root: Path, wanted: list[str] | None = None) -> list[Chapter]:
    """The chapters under ``root``/notebooks, all or those named (``brownian_motion``, ``sdes/brownian_motion``, a path).

    Raises ValueError for a name that fits no chapter, with the names there are.
    """
    folder = root / "notebooks"
    files = {f.relative_to(folder).with_suffix("").as_posix(): f for f in sorted(folder.rglob("*.md"))
             if ".ipynb_checkpoints" not in f.parts}
    chosen = {}
    for given in wanted or files:
        parts = Path(given).with_suffix("").parts
        fits = [name for name in files if Path(name).parts[-len(parts):] == parts or parts[-2:] == Path(name).parts]
        if not fits:
            raise ValueError(f"no chapter {given!r}; the chapters are: {', '.join(files) or 'none yet'}")
        chosen |= {name: files[name] for name in fits}
    return [read_chapter(file, name) for name, file in chosen.items()]


def _call(source: str) -> ast.Call:
    """The call that a cell ends with."""
    body = ast.parse(source).body
    if not body or not isinstance(body[-1], ast.Expr) or not isinstance(body[-1].value, ast.Call):
        raise ValueError(f"an exercise's check ends with a call such as check.name(answer), got {source!r}")
    return body[-1].value
