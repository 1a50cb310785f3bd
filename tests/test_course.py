"""The course kit: what students get, what lecturers get, and how each kind of submission is graded."""
import copy
import csv
import json
import re
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nde_lab import cli
from nde_lab.course import chapters as reading
from nde_lab.course import export as exporting
from nde_lab.course import grade as grading
from nde_lab.course.chapters import Task, find_chapters

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = find_chapters(ROOT)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.stem)

SETUP = '''
from types import SimpleNamespace
from nde_lab.exercises import exercise, require

@exercise(hints=("Look at 3.", "Return x + x."))
def double(answer):
    require(answer(3) == 6, f"3 became {answer(3)}.")
    return "every number doubles."

@exercise(hints=("Two numbers.", "1 and 2."))
def pair(answer):
    a, b = answer
    require(a + b == 3, f"{a} + {b} is not 3.")
    return "they add up."

check = SimpleNamespace(double=double, pair=pair)
'''
CELLS = [("", "setup", SETUP), ("", "other", "sixty = 60"),
         ("double", "exercise-blank", "def double(x):\n    return None      # yours"),
         ("double", "exercise-check", "check.double(double)"),
         ("double", "exercise-solution", "# Both ways.\ndef solution_1(x):\n    return x + x\n\ncheck.double(solution_1)"),
         ("pair", "exercise-blank", "a, b = ..., ..."),
         ("pair", "exercise-check", "check.pair((a, b))"),
         ("pair", "exercise-solution", "one = 1\ncheck.pair((one, 2 * one))")]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A repository with one small chapter, toys/adding, whose second exercise is worth three points."""
    root = tmp_path_factory.mktemp("repo")
    text = "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n\n# Adding\n\nAfter [the last](../x/last.md), "
    text += "of [one](https://example.org/a).\nThe solution\nis folded. Go.\n"
    for name, tag, source in CELLS:
        points = ":points: 3\n" if (name, tag) == ("pair", "exercise-check") else ""
        exercise = f":exercise: {name}\n" if name else ""
        text += f"\n```{{code-cell}} ipython3\n:tags: [{tag}]\n{exercise}{points}\n{source.strip()}\n```\n"
    (root / "notebooks" / "toys").mkdir(parents=True)
    (root / "notebooks" / "toys" / "adding.md").write_text(text, encoding="utf-8")
    return root


def submission(chapter, folder: Path, name: str, **answers: str) -> None:
    """A student's notebook with these answers written into its blanks."""
    made = exporting.student(chapter)
    for cell in made.cells:
        if "exercise-blank" in cell.metadata.get("tags", []):
            cell.source = answers.get(cell.metadata.exercise, cell.source)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, folder / name)


@each_chapter
def test_each_chapter_gives_a_students_notebook_without_and_a_solved_one_with_its_solutions(chapter):
    blank, solved = exporting.student(chapter), exporting.solved(chapter)
    for made in (blank, solved):
        nbformat.validate(made)
        assert made.metadata.nde_lab == {"chapter": chapter.name} and "jupytext" not in made.metadata
        assert not [c for c in made.cells if "exercise-solution" in c.metadata.get("tags", [])]
        prose = "\n".join(c.source for c in made.cells if c.cell_type == "markdown")
        assert ".md)" not in prose and "is folded" not in prose and "rendered page?" not in prose
    text = "\n".join(c.source for c in blank.cells)
    for task in chapter.tasks.values():
        assert task.solution not in text and task.blank in text and task.points > 0
        compile(task.solved, "<solved>", "exec")
    assert [c.source for c in blank.cells if c.cell_type == "markdown"] == [
        c.source for c in solved.cells if c.cell_type == "markdown"]


@each_chapter
def test_the_metadata_is_what_nbgrader_demands_of_schema_3(chapter):
    """The rules of its validator: the keys and their types, ids that are unique, points with a grade and only there."""
    seen = set()
    for cell in exporting.student(chapter).cells:
        found = cell.metadata.get("nbgrader")
        if found is None:
            continue
        assert set(found) - {"points"} == {"schema_version", "grade", "locked", "solution", "task", "grade_id"}
        assert found["schema_version"] == 3 and found["task"] is False and cell.cell_type == "code"
        assert all(isinstance(found[key], bool) for key in ("grade", "locked", "solution", "task"))
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", found["grade_id"]) and found["grade_id"] not in seen
        seen.add(found["grade_id"])
        assert ("points" in found) == found["grade"] and found.get("points", 0) >= 0
        if found["grade"]:
            assert found["locked"] and cell.source.endswith(".require()") and "raises-exception" in cell.metadata.tags
        assert found["locked"] != found["solution"], "students write into the answers, and nowhere else"
    assert {name for name in seen if not name.startswith("setup-")} == (
        set(chapter.tasks) | {f"check-{name}" for name in chapter.tasks})


def test_an_exported_chapter_executes_and_each_blank_fails_its_cell_with_the_hint_alone(monkeypatch):
    """The first chapter's setup and exercises in a kernel, all cells run, as with Run All."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    chapter = next(c for c in CHAPTERS if c.name == "sdes/brownian_motion")
    made = exporting.student(chapter)
    made.cells = [c for c in made.cells if "nbgrader" in c.metadata]
    NotebookClient(made, timeout=120, kernel_name="python3").execute()
    checks = [c for c in made.cells if c.metadata.nbgrader.grade]
    assert len(checks) == len(chapter.tasks)
    for cell in checks:
        error, = cell.outputs
        assert error.output_type == "error" and error.ename == "NotYet"
        first, hint = error.traceback
        assert first == "Not started: the blank is still empty." and hint.startswith("Hint: ")


def test_the_solved_notebook_of_a_chapter_is_a_submission_that_gets_all_points(tmp_path):
    chapter = next(c for c in CHAPTERS if c.name == "sdes/brownian_motion")
    exporting.export([chapter], tmp_path / "course")
    rows = grading.grade(tmp_path / "course" / "solution", CHAPTERS)
    assert [(r.student, r.exercise, r.passed) for r in rows] == [
        ("brownian_motion", name, True) for name in chapter.tasks]


def test_the_folder_of_an_export(toy, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "checkout", lambda holding: toy)
    target = tmp_path / "course"
    assert cli.main(["course", "export", "toys/adding", "--to", str(target)]) == 0
    assert {f.relative_to(target).as_posix() for f in target.rglob("*.*")} == {
        "student/adding/adding.ipynb", "solution/adding.ipynb", "points.csv", "nbgrader_config.py"}
    assert (target / "points.csv").read_text(encoding="utf-8").split() == [
        "chapter,exercise,points", "toys/adding,double,1", "toys/adding,pair,3"]
    made = nbformat.read(target / "student/adding/adding.ipynb", as_version=4)
    assert made.cells[0].source == "# Adding\n\nAfter the last, of [one](https://example.org/a).\nGo."
    sources = [c.source for c in nbformat.read(target / "solution/adding.ipynb", as_version=4).cells if "exercise" in c.metadata]
    assert sources == ["# Both ways.\ndef solution_1(x):\n    return x + x\n\ndouble = solution_1",
                       "check.double(double).require()", "one = 1\n(a, b) = (one, 2 * one)",
                       "check.pair((a, b)).require()"]
    assert "ClearSolutions.enabled = False" in (target / "nbgrader_config.py").read_text(encoding="utf-8")
    before = (target / "solution/adding.ipynb").read_bytes()
    assert cli.main(["course", "export", "--to", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "solution/adding.ipynb").read_bytes() == before, "the same source, the same file"
    assert cli.main(["course", "export", "--to", str(target)]) == 2
    assert "is there already and is not an empty folder" in capsys.readouterr().err
    assert cli.main(["course", "export", "subtracting", "--to", str(tmp_path / "new")]) == 2
    assert "no chapter 'subtracting'; the chapters are: toys/adding" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("blank, solution, words", [
    ("check.a(x)", "y = 2", "ends with a call"), ("check.a(x)", "check.b(y)", "differ"),
    ("check.a(x)", "check.a(y, z)", "differ"), ("check.a", "check.a(y)", "ends with a call"),
])
def test_checks_that_cannot_be_matched_are_refused(blank, solution, words):
    with pytest.raises(ValueError, match=words):
        Task("a", "x = None", blank, solution).solved  # noqa: B018


def test_a_chapter_with_half_an_exercise_is_refused(toy, tmp_path):
    text = (toy / "notebooks/toys/adding.md").read_text(encoding="utf-8")
    (tmp_path / "half.md").write_text(text.replace("[exercise-solution]", "[other]", 1), encoding="utf-8")
    with pytest.raises(ValueError, match="chapter half: exercise 'double' has the cells exercise-blank, exercise-check;"):
        reading.read_chapter(tmp_path / "half.md", "half")


HANG = "while True:\n    pass"
CRASH = "import os\nos._exit(3)"


@pytest.fixture(scope="module")
def graded(toy, tmp_path_factory):
    """One submission of every kind, and the table: {student: {exercise: row}}."""
    folder = tmp_path_factory.mktemp("submissions")
    chapter, = find_chapters(toy)
    submission(chapter, folder, "right/adding (2).ipynb", double="def double(x):\n    return 2 * x", pair="a, b = 0, 3")
    submission(chapter, folder, "wrong.ipynb", double="def double(x):\n    return x", pair="a, b = c, 3")
    submission(chapter, folder, "blank.ipynb")
    submission(chapter, folder, "stuck.ipynb", double=HANG, pair="print('hi')\na, b = 1, 2")
    submission(chapter, folder, "dead.ipynb", double=CRASH, pair="raise SystemExit(0)")
    online = "import socket\nsocket.create_connection(('127.0.0.1', 9))"
    submission(chapter, folder, "curious.ipynb", double=online, pair="a, b = 1, 2 if")
    (folder / "broken.ipynb").write_text("<html>", encoding="utf-8")
    (folder / "forgetful").mkdir()
    other = exporting.student(chapter)
    other.metadata["nde_lab"] = {"chapter": "toys/multiplying"}
    nbformat.write(other, folder / "elsewhere.ipynb")
    cheat = exporting.student(chapter)
    cheat.cells = [c for c in cheat.cells if c.metadata.get("exercise") != "pair"]
    for cell in cheat.cells:
        if "exercise-check" in cell.metadata.get("tags", []):
            cell.source = "check.double(lambda x: x + x).require()"
    nbformat.write(cheat, folder / "cheat.ipynb")
    rows = grading.grade(folder, [chapter], limit=4, jobs=2)
    table: dict = {}
    for row in rows:
        table.setdefault(row.student, {})[row.exercise] = row
    return rows, table


@pytest.mark.parametrize("student, double, pair", [
    ("right", (True, "every number doubles."), (True, "they add up.")),
    ("wrong", (False, "3 became 3."), (False, "NameError: name 'c' is not defined (the grader runs the setup cells")),
    ("blank", (False, "the blank is still empty."), (False, "the blank is still empty.")),
    ("stuck", (False, "your code did not finish in 4 s"), (True, "they add up.")),
    ("dead", (False, "your code ended the whole process"), (False, "your code stopped with SystemExit: 0")),
    ("curious", (False, "PermissionError: there is no network while"), (False, "your code stopped with SyntaxError")),
    ("cheat", (False, "the blank is still empty."), (False, "the answer cell is not there any more")),
])
def test_each_exercise_is_graded_by_itself(graded, student, double, pair):
    for exercise, points, (passed, said) in (("double", 1, double), ("pair", 3, pair)):
        row = graded[1][student][exercise]
        assert (row.passed, row.points, row.of, row.chapter) == (passed, points * passed, points, "toys/adding")
        assert said in row.said


@pytest.mark.parametrize("student, said", [
    ("broken", "this file is not a notebook (JSONDecodeError"), ("forgetful", "this folder holds no notebook"),
    ("elsewhere", "no chapter that is known here: it says it is of the chapter 'toys/multiplying'"),
])
def test_what_cannot_be_graded_is_a_line_of_the_table(graded, student, said):
    row, = graded[1][student].values()
    assert not row.passed and row.exercise == "" and said in row.said


def test_a_notebook_without_metadata_is_known_by_its_name_and_a_split_answer_is_joined(toy, tmp_path):
    chapter, = find_chapters(toy)
    submission(chapter, tmp_path, "adding.ipynb", double="def double(x):")
    made = json.loads((tmp_path / "adding.ipynb").read_text(encoding="utf-8"))
    del made["metadata"]["nde_lab"]
    at = next(i for i, c in enumerate(made["cells"]) if "exercise-blank" in c["metadata"].get("tags", []))
    made["cells"].insert(at + 1, copy.deepcopy(made["cells"][at]) | {"source": ["    y = x\n", "    return 2 * y"]})
    (tmp_path / "adding.ipynb").write_text(json.dumps(made), encoding="utf-8")
    known, answers = grading._read(tmp_path / "adding.ipynb", {chapter.name: chapter})
    assert known is chapter
    names: dict = {}
    exec(answers["double"], names)
    assert names["double"](4) == 8


def test_a_chapter_whose_setup_does_not_run_blames_no_student():
    outcomes = grading.run(["import no_such_module"], [{"name": "a", "answer": "", "check": ""}], limit=5)
    passed, said = outcomes["a"]
    assert not passed and "not graded: the chapter's setup cells do not run here (ModuleNotFoundError" in said


def test_the_table_opens_in_a_spreadsheet_and_runs_nothing_there(graded, tmp_path):
    rows = [*graded[0], grading.Grade("=HYPERLINK(1)", "c", "e", True, 0.5, 1.0, "-1 is not σ.", "f")]
    grading.write(rows, tmp_path / "grades.csv")
    raw = (tmp_path / "grades.csv").read_bytes()
    assert raw.startswith("\ufeff".encode()), "how a spreadsheet knows UTF-8"
    *_, last = read = list(csv.DictReader(raw.decode("utf-8-sig").splitlines()))
    assert list(last.values()) == ["'=HYPERLINK(1)", "c", "e", "yes", "0.5", "1", "'-1 is not σ.", "f"]
    assert {row["passed"] for row in read} == {"yes", "no"} and len(read) == len(rows)
    with pytest.raises(ValueError, match="is there already"):
        grading.write(rows, tmp_path / "grades.csv")


def test_the_command_prints_the_points_and_refuses_in_sentences(toy, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "checkout", lambda holding: toy)
    chapter, = find_chapters(toy)
    submission(chapter, tmp_path / "in", "ada.ipynb", pair="a, b = 1, 2")
    call = ["course", "grade", str(tmp_path / "in"), "-o", str(tmp_path / "grades.csv")]
    assert cli.main(call) == 0
    printed = capsys.readouterr()
    assert "ada: 3 of 4 points" in printed.out and "grading ada.ipynb" in printed.err
    for arguments, words in [(call, "grades.csv is there already"),
                             (["course", "grade", str(tmp_path / "nowhere"), "-o", str(tmp_path / "x")], "is not a folder"),
                             (["course", "grade", str(toy), "-o", str(tmp_path / "x")], "there is no notebook"),
                             ([*call[:3], "-o", str(tmp_path / "x"), "--limit", "0"], "a positive number of seconds")]:
        assert cli.main(arguments) == 2
        assert words in capsys.readouterr().err


def test_grading_needs_nothing_heavy_at_import():
    """``nde-lab`` starts at once: the commands import what they need when they are called."""
    import subprocess
    code = "import sys, nde_lab.cli; print('torch' in sys.modules, 'jupytext' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout.split() == ["False", "False"]
