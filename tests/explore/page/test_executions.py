import copy
import os

import nbformat
import pytest
from jupyter_cache import get_cache

from nde_lab.explore.page import executions

TEXT = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

# A chapter

```{code-cell} ipython3
:tags: [hide-input]

1 + 1
```
"""


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.setattr(executions, "BUILD", tmp_path / "_build")
    (tmp_path / "chapter.md").write_text(TEXT, encoding="utf-8")
    ran = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    ran.cells = [nbformat.v4.new_markdown_cell("# A chapter"), nbformat.v4.new_code_cell("1 + 1", execution_count=1)]
    ran.cells[1].outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": "2"}, execution_count=1)]
    return ran, tmp_path / "chapter.ipynb"


def test_the_book_finds_what_the_test_ran(pair):
    ran, path = pair
    assert executions.store(ran, path)
    wanted = executions.read_markdown(path.with_suffix(".md"))
    _, merged = get_cache(str(executions.cache_folder())).merge_match_into_notebook(wanted)
    code = [c for c in merged.cells if c.cell_type == "code"][0]
    assert code.outputs[0]["data"]["text/plain"] == "2" and code.metadata.tags == ["hide-input"]


def test_code_that_differs_from_the_text_is_not_stored(pair):
    ran, path = pair
    other = copy.deepcopy(ran)
    other.cells[1].source = "1 + 2"
    assert not executions.store(other, path)
    assert not executions.store(ran, path.with_name("no_pair.ipynb"))


def test_another_package_looks_elsewhere_and_old_outputs_go(pair, monkeypatch):
    ran, path = pair
    executions.store(ran, path)
    old = executions.cache_folder()
    monkeypatch.setattr(executions, "package_hash", lambda: "another")
    new = executions.cache_folder()
    assert new != old and old.exists()      # somebody may be using it
    os.utime(old, (0, 0))
    assert executions.cache_folder() == new and not old.exists()
    with pytest.raises(KeyError):
        get_cache(str(new)).match_cache_notebook(executions.read_markdown(path.with_suffix(".md")))


def test_the_hash_sees_python_javascript_and_stored_results(tmp_path, monkeypatch):
    seen = set()
    for name in ("a.py", "b.js", "results/c.json"):
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
        monkeypatch.setattr(executions, "PACKAGE", tmp_path)
        executions.package_hash.cache_clear()
        seen.add(executions.package_hash())
    executions.package_hash.cache_clear()
    assert len(seen) == 3
