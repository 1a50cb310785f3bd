"""The weekly job names steps that exist, and each test run of the notebooks ends with their seconds."""
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
JOB = yaml.safe_load((ROOT / ".github" / "workflows" / "upkeep.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNS = JOB["jobs"]["versions"]["strategy"]["matrix"]["include"]


def steps(target: str) -> list[str]:
    """The commands of a target of the Makefile with its variables put in (make itself need not be installed)."""
    block = re.search(rf"^(?:\w+ )*{target}(?: \w+)*: \S.*##.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE).group(1)
    values = dict(re.findall(r"^(\w+) :?= (.*)$", MAKEFILE, re.MULTILINE))
    values |= dict(re.findall(rf"^{target}: (\w+) :?= (.*)$", MAKEFILE, re.MULTILINE))
    return [re.sub(r"\$\((\w+)\)", lambda found: values[found.group(1)], line.strip()) for line in block.splitlines()]


def test_the_weekly_job_runs_the_suite_with_the_newest_and_the_oldest_versions():
    assert "schedule" in JOB[True], "YAML reads the key `on` as true"
    *_, last = [step["run"] for step in JOB["jobs"]["versions"]["steps"] if "run" in step]
    assert last == "make ${{ matrix.which }}"
    assert {run["which"] for run in RUNS} == {"newest", "oldest"}
    lowest = re.search(r">=(3\.\d+)", PROJECT["project"]["requires-python"]).group(1)
    assert next(run["python"] for run in RUNS if run["which"] == "oldest") == lowest


def test_it_installs_the_system_packages_that_ci_installs():
    wanted = re.findall(r"missing\+=\(([^)]*)\)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    installed = next(s["run"] for s in JOB["jobs"]["versions"]["steps"] if "apt-get" in s.get("run", "")).split()
    assert set(" ".join(wanted).split()) - {"python3-venv"} <= set(installed)      # its image has a whole Python


@pytest.mark.parametrize("target, resolution", [("newest", "highest"), ("oldest", "lowest-direct")])
def test_each_target_installs_everything_that_a_test_needs_and_leaves_out_the_test_of_the_pins(target, resolution):
    *_, install, run = steps(target)
    assert f"--resolution {resolution}" in install and "--group build" in install
    extras = set(re.search(r"\.\[([\w,]+)\]", install).group(1).split(","))
    assert extras == set(PROJECT["project"]["optional-dependencies"]) - {"bench"}
    left_out = re.search(r"--deselect (\S+)::(\w+)", run)
    assert f"def {left_out.group(2)}(" in (ROOT / left_out.group(1)).read_text(encoding="utf-8")


def test_a_run_of_notebooks_ends_with_their_seconds_and_the_budget(tmp_path):
    """A real run, of one small notebook, by the plugin that notebooks/conftest.py is."""
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]), tmp_path / "small.ipynb")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "--nbmake", "-p", "notebooks.conftest", "-o", "addopts=",
                           "--rootdir", tmp_path, tmp_path / "small.ipynb"], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"= seconds per notebook \(budget 60\) =+\n +\d+\.\d s  small\.ipynb\n", done.stdout), done.stdout


def test_the_slowest_notebook_comes_first_and_says_by_how_much_it_is_over():
    from notebooks.conftest import report
    assert report({"a.ipynb": 20.04, "b.ipynb": 71.5, "c.ipynb": 60.0}) == [
        "   71.5 s  b.ipynb  (12 s over)", "   60.0 s  c.ipynb", "   20.0 s  a.ipynb"]
