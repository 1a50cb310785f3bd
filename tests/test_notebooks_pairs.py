"""Each notebook is a pair: the MyST Markdown is the source, the ipynb beside it the same without outputs."""
from pathlib import Path

import jupytext
import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def files(pattern: str) -> list[Path]:
    return sorted(f for f in NOTEBOOKS.rglob(pattern) if ".ipynb_checkpoints" not in f.parts)


def cells(file: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in jupytext.read(file).cells]


def test_there_are_pairs_and_nothing_is_single():
    names = {f.with_suffix("") for f in files("*.md")}
    assert names and names == {f.with_suffix("") for f in files("*.ipynb")}


@pytest.mark.parametrize("source", files("*.md"), ids=lambda f: f.stem)
def test_the_pair_is_in_step(source):
    assert cells(source) == cells(source.with_suffix(".ipynb")), "run `make notebooks`"


@pytest.mark.parametrize("notebook", files("*.ipynb"), ids=lambda f: f.stem)
def test_the_notebook_is_valid_and_carries_no_outputs(notebook):
    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)
    assert content.metadata.kernelspec.name == "python3"
