"""The page on a reader's own data says code that runs, on files with gaps as readers have them."""
from __future__ import annotations

import contextlib
import io
import math
import os
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "book" / "your_data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with both files: a wave with every ninth value missing; two kinds of series of unequal lengths."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{i},{'' if i % 9 == 4 else 3 + math.sin(i / 3)}" for i in range(70)]
    Path("mine.csv").write_text("date,value\n" + "\n".join(rows) + "\n")
    long = [f"{k},{t},{'' if (t + k) % 7 == 3 else math.sin((1 + 2 * (k % 2)) * t / 5 + k / 40)},{'slow fast'.split()[k % 2]}"
            for k in range(48) for t in range(16 + k % 4)]
    Path("many.csv").write_text("series,time,value,label\n" + "\n".join(long) + "\n")
    return tmp_path


def test_every_line_of_the_page_runs(here):
    code = "\n".join(BLOCKS).replace("steps=300", "steps=20").replace("range(200)", "range(80)")
    assert code.count("steps=20") == 1 and code.count("range(80)") == 1, "the test shortens the page's two runs"
    names, printed = {"__name__": "your_data"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "book/your_data.md", "exec"), names)     # noqa: S102
    assert os.getcwd() == str(here)
    assert names["x"].shape == (70,) and not names["x"].isnan().any()
    assert names["dream"].shape == (70,) and names["frame"].status.kind == "finished"
    assert "48 series of 16 to 19 points, 1 channel, 2 classes" in printed.getvalue()
    right = float(re.search(r"right on the test part: ([\d.]+)", printed.getvalue()).group(1))
    assert right >= 0.9, "slow and fast waves are easy to tell apart"
