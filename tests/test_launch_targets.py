"""Each way to start the book for a class runs the lines that the README gives and the other tests try."""
import os
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
PAGES = {name: (ROOT / name).read_text(encoding="utf-8")
         for name in ("README.md", "book/classroom.md", "book/index.md", "CONTRIBUTING.md")}
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
ANY_CLONE = re.compile(r"PATH-TO-THE-CLONE|\./clone")


def test_binder_takes_the_tested_environment_and_the_readmes_line():
    """``tests/test_packaging.py`` compares environment.yml with pyproject.toml."""
    assert (ROOT / "binder" / "environment.yml").resolve() == ROOT / "environment.yml"
    assert (ROOT / "binder" / "environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()
    script = ROOT / "binder" / "postBuild"
    commands = [line for line in script.read_text(encoding="utf-8").splitlines()
                if line and not line.startswith(("#", "set "))]
    assert commands == ["pip install --no-deps -e ."]
    assert f"`conda env create -f environment.yml`, then in that environment `{commands[0]}`" in README
    assert os.access(script, os.X_OK), "Binder runs it as a program"


def test_colab_installs_what_the_readme_installs():
    lines = re.findall(r'pip install ("[^"]+")', PAGES["book/classroom.md"])
    installs = {ANY_CLONE.sub("CLONE", line) for line in lines}
    assert '"CLONE[data]"' in installs and 'pip install "PATH-TO-THE-CLONE[data]"' in README


@pytest.mark.parametrize("page", PAGES)
def test_every_install_line_names_extras_that_exist(page):
    for line in re.findall(r"pip install [^`\n]*", PAGES[page]):
        for extras in re.findall(r"\[([a-z,]+)\]", line):
            assert set(extras.split(",")) <= EXTRAS, f"{page}: {line}"


def test_commands_of_the_classroom_exist():
    text = PAGES["book/classroom.md"]
    assert {"wheels"} == set(re.findall(r"^make (\w+)$", text, re.MULTILINE))
    assert "\nwheels:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    from nde_lab import cli
    for command in set(re.findall(r"nde-lab (\w+)", text)):
        with pytest.raises(SystemExit) as end:
            cli.main([command, "--help"])
        assert end.value.code == 0, command
    assert "python3 start.py lab --wheels wheels" in text and "start.py lab --wheels wheels" in README
