"""Notebooks run first, as readers of the book meet them, and leave their outputs for the book (nothing runs twice)."""
import os
from pathlib import Path

import pytest
from nbmake import pytest_items
from nbmake.nb_run import NotebookRun

from nde_lab.explore.page import executions


class StoredRun(NotebookRun):
    """nbmake's run, with static widgets, whose outputs the book shows."""

    def execute(self):
        before = os.environ.get("NDE_LAB_STATIC")
        os.environ["NDE_LAB_STATIC"] = "1"
        try:
            result = super().execute()
        finally:
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
