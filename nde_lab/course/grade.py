"""Grades: run what students handed in, and write a table.

Of a submission only its answers are taken (the cells tagged ``exercise-blank``); setup and checks come from the chapter
itself, so an edited check changes nothing. Each notebook runs in a process of its own, in an empty folder, without a
network, with a time limit for every exercise: one that hangs or brings its process down fails alone. This is no sandbox:
answers are programs, and run with your rights.
"""
from __future__ import annotations

import contextlib
import csv
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from nde_lab.course.chapters import BLANK, Chapter, tags

SETUP_LIMIT = 180.0      # s, for the chapter's own setup cells: imports, on a slow machine


@dataclass(frozen=True)
class Grade:
    """One line of the table. exercise is "" where a whole submission could not be read; ``said``: what was seen."""
    student: str
    chapter: str
    exercise: str
    passed: bool
    points: float
    of: float
    said: str
    file: str


def grade(folder: str | Path, chapters: Iterable[Chapter], *, limit: float = 60.0, jobs: int = 1,
          progress: Callable[[str], None] = lambda sentence: None) -> list[Grade]:
    """Grade every notebook under ``folder``: ``folder/STUDENT/....ipynb``, or ``folder/STUDENT.ipynb``.

    The notebook says of which chapter it is (its metadata, else its file name). limit: seconds for one exercise;
    jobs: notebooks at a time. Raises ValueError if the folder is missing or holds no notebook, or for a limit or a
    number of jobs that is not positive.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the folder that holds a notebook or a folder for each student")
    if not limit > 0 or jobs < 1:
        raise ValueError(f"the limit is a positive number of seconds and jobs at least 1, got {limit:g} and {jobs}")
    files = [f for f in sorted(folder.rglob("*.ipynb")) if ".ipynb_checkpoints" not in f.parts]
    if not files:
        raise ValueError(f"there is no notebook (*.ipynb) in {folder} or in the folders in it")
    known = {chapter.name: chapter for chapter in chapters}

    def one(file: Path) -> list[Grade]:
        progress(f"grading {file.relative_to(folder)}")
        return _grade_file(file, folder, known, limit)
    with ThreadPoolExecutor(jobs) as pool:
        graded = [row for rows in pool.map(one, files) for row in rows]
    handed_in = {row.student for row in graded}
    empty = [d for d in sorted(folder.iterdir()) if d.is_dir() and d.name not in handed_in
             and not d.name.startswith(".")]
    return graded + [Grade(d.name, "", "", False, 0, 0, "this folder holds no notebook", d.name) for d in empty]


def write(grades: list[Grade], file: str | Path) -> None:
    """Write the table, one line per exercise, as a spreadsheet reads it. Raises ValueError if the file is there."""
    try:
        opened = Path(file).open("x", newline="", encoding="utf-8-sig")
    except FileExistsError:
        raise ValueError(f"{file} is there already; name another file, or remove it first") from None
    with opened:
        table = csv.writer(opened)
        table.writerow([f.name for f in fields(Grade)])
        for row in grades:
            # A spreadsheet would run a text that begins like a formula; students choose some of these texts.
            table.writerow([f"'{v}" if isinstance(v, str) and v.startswith(("=", "+", "-", "@")) else
                            "yes" if v is True else "no" if v is False else f"{v:g}" if isinstance(v, float) else v
                            for v in astuple(row)])


def _grade_file(file: Path, folder: Path, known: dict[str, Chapter], limit: float) -> list[Grade]:
    inside = file.relative_to(folder)
    student = inside.parts[0] if len(inside.parts) > 1 else inside.stem
    try:
        chapter, answers = _read(file, known)
    except ValueError as error:
        return [Grade(student, "", "", False, 0.0, 0.0, str(error), inside.as_posix())]
    outcomes = {name: (False, "the answer cell is not there any more") for name in chapter.tasks}
    tasks = [{"name": name, "answer": answers[name], "check": task.check}
             for name, task in chapter.tasks.items() if name in answers]
    outcomes |= run(chapter.setup, tasks, limit)
    return [Grade(student, chapter.name, name, passed, task.points * passed, task.points, said, inside.as_posix())
            for name, task in chapter.tasks.items() for passed, said in [outcomes[name]]]


def _read(file: Path, known: dict[str, Chapter]) -> tuple[Chapter, dict[str, str]]:
    """The chapter that a submission answers, and its answers; ValueError with a sentence if it cannot be told."""
    try:
        notebook = json.loads(file.read_text(encoding="utf-8"))
        cells = [(c["metadata"], c["source"] if isinstance(c["source"], str) else "".join(c["source"]), tags(c))
                 for c in notebook["cells"]]
        name = notebook["metadata"].get("nde_lab", {}).get("chapter")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"this file is not a notebook ({type(error).__name__}: {error})") from None
    fits = [c for c in known.values() if c.name == name] or [c for c in known.values() if c.stem == file.stem]
    if not fits:
        says = f"it says it is of the chapter {name!r}" if name else "it does not say of which chapter it is"
        raise ValueError(f"this notebook is of no chapter that is known here: {says}")
    answers: dict[str, str] = {}
    for metadata, source, tagged in cells:
        if BLANK in tagged:      # a cell that was split has its name twice
            answers[metadata.get("exercise")] = f"{answers.get(metadata.get('exercise'), '')}\n{source}"
    return fits[0], answers


def run(setup: Iterable[str], tasks: list[dict], limit: float) -> dict[str, tuple[bool, str]]:
    """{name: (passed, what was said)}; after a task that hangs or crashes, a new process goes on with the next."""
    found: dict[str, tuple[bool, str]] = {}
    while tasks:
        for line in _lines(setup, tasks, limit):
            name = tasks.pop(0)["name"]
            found[name] = (line["passed"], line["says"])
    return found


def _lines(setup: Iterable[str], tasks: list[dict], limit: float):
    """What one process says of the tasks, in order; the last line may be ours, on how it ended."""
    arrived: queue.Queue = queue.Queue()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MPLBACKEND": "Agg"}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty:
        process = subprocess.Popen([sys.executable, "-m", "nde_lab.course.worker"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=empty, env=environment,
                                   start_new_session=os.name != "nt")

        def listen():
            for line in process.stdout:
                arrived.put(line)
            arrived.put(None)
        try:
            threading.Thread(target=listen, daemon=True).start()
            process.stdin.write(json.dumps({"setup": list(setup), "tasks": tasks}).encode())
            process.stdin.close()
            yield from _told(arrived, process, len(tasks), limit)
        finally:
            _end(process)


def _told(arrived: queue.Queue, process: subprocess.Popen, count: int, limit: float):
    line = _next(arrived, SETUP_LIMIT)
    if "ready" not in line:
        why = line.get("broken") or line.get("ended") or f"it did not finish in {SETUP_LIMIT:g} s"
        for _ in range(count):
            yield {"passed": False, "says": f"not graded: the chapter's setup cells do not run here ({why})"}
        return
    for _ in range(count):
        line = _next(arrived, limit)
        if "passed" in line:
            yield line
            continue
        says = "your code ended the whole process" if "ended" in line else f"your code did not finish in {limit:g} s"
        yield {"passed": False, "says": f"{says}."}
        return


def _next(arrived: queue.Queue, limit: float) -> dict:
    try:
        line = arrived.get(timeout=limit)
    except queue.Empty:
        return {}
    try:
        return json.loads(line) if line is not None else {"ended": "the process ended"}
    except ValueError:
        return {"ended": "the process said something unreadable"}


def _end(process: subprocess.Popen) -> None:
    """End the process with all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL) if os.name != "nt" else process.kill()
    process.wait()
    process.stdout.close()
