"""What holds for every chapter: its exercises answer, its explorations ask, its cells are short.

An exercise is three code cells with one name in their metadata (see ``nde_lab.exercises``). Here each blank and
each solution is taken from the notebook's source and run after the cells tagged ``setup``, as a reader would.
"""
import ast
import functools
import re
from pathlib import Path

import jupytext
import pytest

from nde_lab.exercises import Exercise, Result

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CHAPTERS = sorted(f for f in NOTEBOOKS.rglob("*.md") if ".ipynb_checkpoints" not in f.parts)
PARTS = ("exercise-blank", "exercise-check", "exercise-solution")
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda f: f.stem)


@functools.cache
def code_cells(chapter: Path) -> list:
    return [cell for cell in jupytext.read(chapter).cells if cell.cell_type == "code"]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def exercises(chapter: Path) -> dict[str, dict[str, object]]:
    """{name: {tag: cell}} in the order of the notebook."""
    found: dict = {}
    for cell in code_cells(chapter):
        for part in set(tags(cell)) & set(PARTS):
            cells = found.setdefault(cell.metadata.get("exercise"), {})
            assert part not in cells, f"two cells {part} for exercise {cell.metadata.get('exercise')}"
            cells[part] = cell
    return found


def last_value(source: str, namespace: dict):
    """Run a cell and return the value of its last line, as Jupyter shows it."""
    *body, end = ast.parse(source).body
    assert isinstance(end, ast.Expr), f"the cell shows nothing: {source!r}"
    exec(compile(ast.Module(body, []), "<cell>", "exec"), namespace)
    return eval(compile(ast.Expression(end.value), "<cell>", "eval"), namespace)


@functools.cache
def setup(chapter: Path) -> dict:
    namespace: dict = {}
    for cell in code_cells(chapter):
        if "setup" in tags(cell):
            exec(cell.source, namespace)
    return namespace


EACH = [pytest.param(chapter, name, id=f"{chapter.stem}-{name}")
        for chapter in CHAPTERS for name in exercises(chapter)]


@each_chapter
def test_three_to_five_exercises_each_whole_and_in_order(chapter):
    found = exercises(chapter)
    assert 3 <= len(found) <= 5
    for name, cells in found.items():
        assert name and tuple(cells) == PARTS, f"exercise {name!r} has the cells {list(cells)}, not {PARTS}"


@pytest.mark.parametrize(("chapter", "name"), EACH)
def test_the_blank_fails_its_check_with_a_hint_and_no_error(chapter, name):
    cells, namespace = exercises(chapter)[name], dict(setup(chapter))
    exec(cells["exercise-blank"].source, namespace)
    result = last_value(cells["exercise-check"].source, namespace)
    assert isinstance(result, Result) and result.name == name
    assert not result.passed and result.verdict == "Not started" and result.hint


@pytest.mark.parametrize(("chapter", "name"), EACH)
def test_the_solution_passes_its_check(chapter, name):
    result = last_value(exercises(chapter)[name]["exercise-solution"].source, dict(setup(chapter)))
    assert isinstance(result, Result) and result.name == name and result.passed, result


@pytest.mark.parametrize(("chapter", "name"), EACH)
def test_the_solution_is_folded_and_leaves_the_readers_names_alone(chapter, name):
    cells = exercises(chapter)[name]
    solution = cells["exercise-solution"]
    assert "hide-cell" in tags(solution), "unfolded in the book"
    assert solution.metadata.get("jupyter", {}).get("source_hidden") is True, "unfolded in JupyterLab"

    def names(part):
        namespace = dict(setup(chapter))
        exec(cells[part].source, namespace)
        return set(namespace) - set(setup(chapter))
    assert names("exercise-blank") and not names("exercise-blank") & names("exercise-solution")


@each_chapter
def test_every_exercise_of_the_module_is_in_the_chapter(chapter):
    module = setup(chapter)["check"]
    written = {name for name, value in vars(module).items() if isinstance(value, Exercise)}
    assert written == set(exercises(chapter))


@each_chapter
def test_cells_are_short_and_randomness_starts_in_one_place(chapter):
    cells = code_cells(chapter)
    long = [cell.source.splitlines()[0] for cell in cells if len(cell.source.splitlines()) > 25]
    assert not long, f"cells of more than 25 lines: {long}"
    wide = [line for cell in cells for line in cell.source.splitlines() if len(line) > 105]
    assert not wide, f"lines that scroll: {wide}"
    assert sum(cell.source.count("manual_seed(") for cell in cells) == 1


def explorations(chapter: Path) -> list[dict[str, ast.expr]]:
    """The keyword arguments of every call of ``explore``."""
    return [{k.arg: k.value for k in node.keywords}
            for cell in code_cells(chapter) for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "explore"]


@each_chapter
def test_explorations_ask_before_and_tell_after_with_at_most_four_controls(chapter):
    found = explorations(chapter)
    assert len(found) >= 3
    for words in found:
        title = ast.unparse(words["title"])
        assert 1 <= len(ast.literal_eval(words["controls"])) <= 4, title
        assert ast.literal_eval(words["predict"]).rstrip().endswith("?"), f"{title} asks no question"
        assert len(ast.literal_eval(words["after"])) > 60, f"{title} does not tell what should have been seen"


@each_chapter
def test_a_picture_comes_first_and_the_idea_is_bold_before_any_formula(chapter):
    text = chapter.read_text(encoding="utf-8")
    formula = text.index("$$")
    assert text.index("explore(") < formula
    # A paragraph that is bold from its first to its last word.
    assert re.search(r"\n\n\*\*[^*]{60,}\*\*\n\n", text[:formula])
