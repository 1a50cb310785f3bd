"""Native programs of tests are kept in a folder of the test session, not in the user's cache."""
import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    before = os.environ.get("NDE_LAB_CACHE")
    os.environ["NDE_LAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("NDE_LAB_CACHE")
    if before is not None:
        os.environ["NDE_LAB_CACHE"] = before
