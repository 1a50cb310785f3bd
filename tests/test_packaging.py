"""The repository as it is set up: pins, ranges, conda file, versions, wheel, and what an import costs."""
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nde_lab

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# The peers that benchmarks/ measures against are installed by hand: they are in no lock and in no environment.
EXTRAS = {name: of for name, of in PROJECT["project"]["optional-dependencies"].items() if name != "bench"}
LEFT_OUT = {canonicalize_name(name) for name in PROJECT["tool"]["uv"]["exclude-dependencies"]}
LOCKS = {"requirements.lock": tuple(EXTRAS), "requirements-lab.lock": ("lab", "data")}
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}


def wanted(extras) -> list[Requirement]:
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]]
    return [Requirement(line) for line in [*lines, *(line for extra in extras for line in EXTRAS[extra])]]


def entries(lock: str) -> list[tuple[Requirement, str]]:
    """(requirement, whole text) of each entry of a lock; a package with two entries has disjoint markers."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    return [(Requirement(block.split(" \\")[0]), block) for block in blocks]


def pins(lock: str) -> dict[str, str]:
    """name -> version, of the entries that apply to this Python and system."""
    here = [r for r, _ in entries(lock) if r.marker is None or r.marker.evaluate()]
    return {canonicalize_name(r.name): next(iter(r.specifier)).version for r in here}


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_satisfies_the_ranges_of_pyproject(lock):
    """Every wanted package is pinned to a version inside its range, on every system that the lock covers."""
    for requirement in wanted(LOCKS[lock]):
        versions = [next(iter(pin.specifier)).version for pin, _ in entries(lock)
                    if canonicalize_name(pin.name) == canonicalize_name(requirement.name)]
        assert versions, f"{requirement.name} is not in {lock}: run `make lock`"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement}, {versions}: make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_holds_exact_versions_and_hashes_and_no_address(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=sha256:)", text, re.MULTILINE), "an option, such as an index"
    for requirement, block in entries(lock):
        assert [s.operator for s in requirement.specifier] == ["=="] and requirement.url is None
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), f"{requirement.name} has no hash"


def test_npm_locks_hold_no_address():
    for folder in ("book", "nde_lab", "tests"):
        for file in (ROOT / folder).rglob("package-lock.json"):
            if "node_modules" not in file.parts:
                assert "resolved" not in file.read_text(encoding="utf-8"), f"{file} records addresses"


def test_the_readers_lock_is_part_of_the_whole_one():
    """A reader who later runs the tests changes no version, and both carry the same hashes."""
    whole = {(r.name, str(r.specifier), *sorted(re.findall("sha256:[0-9a-f]+", block)))
             for r, block in entries("requirements.lock")}
    part = {(r.name, str(r.specifier), *sorted(re.findall("sha256:[0-9a-f]+", block)))
            for r, block in entries("requirements-lab.lock")}
    assert part < whole


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_that_a_pinned_package_needs_is_missing(lock):
    """start.py installs without resolving, so the lock must be closed, but for what pyproject leaves out."""
    pinned = pins(lock)
    missing = set()
    for name, version in pinned.items():
        if name == "torch":     # the CPU build is 2.15.0+cpu
            assert importlib.metadata.version(name).partition("+")[0] == version
        elif name.startswith(("nvidia-", "cuda-")) and "+cpu" in importlib.metadata.version("torch"):
            continue
        else:
            assert importlib.metadata.version(name) == version, "run `python3 start.py test`"
        for requirement in map(Requirement, importlib.metadata.requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                missing |= {canonicalize_name(requirement.name)} - set(pinned)
    assert missing <= LEFT_OUT
    assert not LEFT_OUT & set(pinned)


def test_environment_yml_is_in_step_with_pyproject():
    """Same packages, same bounds; conda-forge's names differ for two of them."""
    lines = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip_lines = next(line["pip"] for line in lines if isinstance(line, dict))
    conda = {r.name: r.specifier for r in map(Requirement, [line for line in lines if isinstance(line, str)])}
    assert conda.pop("python") == Requirement("python" + PROJECT["project"]["requires-python"]).specifier
    conda.pop("pip")
    conda |= {r.name: r.specifier for r in map(Requirement, pip_lines)}
    assert conda == {CONDA_NAMES.get(r.name, r.name): r.specifier for r in wanted(EXTRAS)}


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert nde_lab.__version__ == citation["version"] == newest.group(1)


def test_the_wheel_holds_the_package_and_its_licences(tmp_path):
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT,
                   check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        entry_points = next(n for n in names if n.endswith("entry_points.txt"))
        assert "nde-lab = nde_lab.cli:main" in wheel.read(entry_points).decode()
    package = {p.relative_to(ROOT).as_posix() for p in (ROOT / "nde_lab").rglob("*")
               if p.is_file() and "__pycache__" not in p.parts}
    assert package <= names, "scripts and data of the package travel with it"
    assert {Path(n).name for n in names if "/licenses/" in n} == {"LICENSE", "LICENSE-TEXT"}
    assert all(n.startswith(("nde_lab/", "nde_lab-")) for n in names), "nothing but the package is installed"


HEAVY = ("torch._dynamo", "pandas", "aeon", "matplotlib.pyplot", "numba", "sklearn", "jupyterlab")


def imported_by(statement: str) -> list[str]:
    code = f"import sys; {statement}; import json; print(json.dumps(sorted(sys.modules)))"
    return json.loads(subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT))


def test_importing_the_package_loads_nothing_heavy():
    assert "torch" not in imported_by("import nde_lab")
    loaded = imported_by("import nde_lab.experiment, nde_lab.claims, nde_lab.solvers, nde_lab.cli")
    assert "torch" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_the_lazy_names_are_there():
    from nde_lab.experiment import run
    assert nde_lab.run is run
    assert nde_lab.optimizers.adam
    assert {"run", "experiment", "solvers"} <= set(dir(nde_lab))
    with pytest.raises(AttributeError, match="no module or name 'no_such_thing'"):
        nde_lab.no_such_thing  # noqa: B018


def test_the_top_level_is_the_one_that_the_readme_shows():
    names = {p.name for p in ROOT.iterdir()}
    assert {"README.md", "LICENSE", "LICENSE-TEXT", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md",
            "Makefile", "start.py", "pyproject.toml", "environment.yml", "requirements.lock",
            "requirements-lab.lock", "jupytext.toml", "notebooks", "nde_lab", "tests", "book", ".ci"} <= names


def test_ci_runs_the_command_that_the_readme_gives():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\npython3 start.py test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^python3 start\.py (\w+)$", readme, re.MULTILINE) == ["lab", "test"]


def test_the_links_of_the_readme_lead_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", readme):
        assert (ROOT / target.partition("#")[0]).exists(), f"README.md links to {target}, which is not there"
