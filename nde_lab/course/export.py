"""Student notebooks, solved notebooks, and the points: one folder, written from the chapters' one source.

::

    FOLDER/student/CHAPTER/CHAPTER.ipynb    the chapter with blanks; no solution in it
    FOLDER/solution/CHAPTER.ipynb           the same with every blank filled: a submission that gets all points
    FOLDER/points.csv                       chapter, exercise, points
    FOLDER/nbgrader_config.py               makes FOLDER a course of nbgrader (``nbgrader generate_assignment CHAPTER``)

In both notebooks a check cell stops with an error unless its answer obeys (``Result.require``), and carries the cell
metadata of nbgrader, schema 3; it is tagged ``raises-exception``, so that Run All goes on to the next exercise.
"""
from __future__ import annotations

import copy
import csv
import re
from collections.abc import Iterable
from pathlib import Path

from nde_lab.course.chapters import BLANK, CHECK, SOLUTION, Chapter, role, tags

SCHEMA = 3
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#)[^)]*\)")     # to another file of the book, which students lack
# What is true of the book's own chapter only.
_FOLDED = re.compile(r"The\s+solution\s+is\s+folded\.\s*(\(Reading\s+the\s+rendered\s+page\?[^)]*\)\s*)?")
CONFIG = '''"""This folder as a course of nbgrader: `nbgrader generate_assignment CHAPTER`, then `nbgrader autograde CHAPTER`."""
c = get_config()  # noqa: F821
c.CourseDirectory.source_directory = "student"
# The blanks are blank already; nbgrader would put a stub of its own in their place.
c.ClearSolutions.enabled = False
'''


def export(chapters: Iterable[Chapter], folder: str | Path) -> list[Path]:
    """Write the notebooks and tables of ``chapters`` into ``folder``; returns the files written.

    Raises ValueError if the folder is there and not empty, if there is no chapter, or if one has no exercise.
    """
    import nbformat
    chapters, folder = list(chapters), Path(folder)
    if not chapters:
        raise ValueError("there is no chapter to export")
    for chapter in chapters:
        if not chapter.tasks:
            raise ValueError(f"chapter {chapter.name} has no exercise, so there is nothing to hand in")
        if [c.stem for c in chapters].count(chapter.stem) > 1:
            raise ValueError(f"two chapters are called {chapter.stem}; export them into two folders")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already and is not an empty folder; name a new one, so that nothing "
                         "in it is overwritten")
    made = {}
    for chapter in chapters:
        made[f"student/{chapter.stem}/{chapter.stem}.ipynb"] = student(chapter)
        made[f"solution/{chapter.stem}.ipynb"] = solved(chapter)
    for name, notebook in made.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, file)
    with (folder / "points.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["chapter", "exercise", "points"])
        table.writerows([c.name, task.name, f"{task.points:g}"] for c in chapters for task in c.tasks.values())
    (folder / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    return [*(folder / name for name in made), folder / "points.csv", folder / "nbgrader_config.py"]


def student(chapter: Chapter):
    """The chapter as a notebook with blanks, without solutions."""
    return _notebook(chapter, {name: task.blank for name, task in chapter.tasks.items()})


def solved(chapter: Chapter):
    """The chapter as a notebook whose blanks are filled with the solutions."""
    return _notebook(chapter, {name: task.solved for name, task in chapter.tasks.items()})


def _notebook(chapter: Chapter, answers: dict[str, str]):
    made = copy.deepcopy(chapter.notebook)
    # Without jupytext's entry: a student's notebook is no pair, and must not write a Markdown file beside it.
    made.metadata = type(made.metadata)(
        {n: v for n, v in made.metadata.items() if n != "jupytext"} | {"nde_lab": {"chapter": chapter.name}})
    cells = []
    for cell in made.cells:
        if role(cell) == SOLUTION:
            continue
        name = cell.metadata.get("exercise")
        if cell.cell_type == "markdown":
            cell.source = _FOLDED.sub("", _LINK.sub(r"\1", cell.source))
        elif role(cell) == BLANK:
            cell.source = answers[name]
            cell.metadata.update(deletable=False, nbgrader=_graded(name, solution=True))
        elif role(cell) == CHECK:
            cell.source = chapter.tasks[name].graded
            points = chapter.tasks[name].points
            cell.metadata.update(deletable=False, editable=False, tags=[*tags(cell), "raises-exception"],
                                 nbgrader=_graded(f"check-{name}", grade=True, locked=True, points=points))
        elif "setup" in tags(cell):
            cell.metadata.update(deletable=False, nbgrader=_graded(f"setup-{len(cells)}", locked=True))
        cell.id = f"cell-{len(cells)}"      # not random: the same source gives the same file
        cells.append(cell)
    made.cells = cells
    made.nbformat, made.nbformat_minor = 4, 5
    return made


def _graded(grade_id: str, *, grade=False, solution=False, locked=False, **points) -> dict:
    return {"schema_version": SCHEMA, "grade_id": grade_id, "grade": grade, "solution": solution, "locked": locked,
            "task": False, **points}
