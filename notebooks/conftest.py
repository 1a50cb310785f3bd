"""Notebooks run first, as readers of the book meet them, and leave their outputs for the book (nothing runs twice).

At the end their times are printed beside the budget of a minute. That is a report: a busy machine fails no test by it.
"""
import os
import time
from pathlib import Path

import pytest
from nbmake import pytest_items
from nbmake.nb_run import NotebookRun

from nde_lab.explore.page import executions


BUDGET = 60.0      # s, for a chapter on two cores, with the start of its kernel
SECONDS: dict[str, float] = {}


class StoredRun(NotebookRun):
    """nbmake's run, with static widgets, whose outputs the book shows."""

    def execute(self):
        before = os.environ.get("NDE_LAB_STATIC")
        os.environ["NDE_LAB_STATIC"] = "1"
        started = time.perf_counter()
        try:
            result = super().execute()
        finally:
            SECONDS[str(self.filename)] = time.perf_counter() - started
            if before is None:
                del os.environ["NDE_LAB_STATIC"]
            else:
                os.environ["NDE_LAB_STATIC"] = before
        if result.error is None:
            executions.store(result.nb, Path(self.filename))
        return result


pytest_items.NotebookRun = StoredRun


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not getattr(item, "nbmake", False))      # a stable sort: notebooks, then the rest


def report(seconds: dict[str, float]) -> list[str]:
    """A line for each notebook, the slowest first: its seconds, and by how much they are over the budget."""
    return [f"{took:7.1f} s  {name}" + (f"  ({took - BUDGET:.0f} s over)" if took > BUDGET else "")
            for name, took in sorted(seconds.items(), key=lambda item: -item[1])]


def pytest_terminal_summary(terminalreporter):
    if SECONDS:
        here = Path(terminalreporter.config.rootpath)
        named = {os.path.relpath(name, here) if Path(name).is_relative_to(here) else name: s for name, s in SECONDS.items()}
        terminalreporter.section(f"seconds per notebook (budget {BUDGET:g})")
        for line in report(named):
            terminalreporter.line(line)
