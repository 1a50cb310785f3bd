"""``nde-lab doctor``: what is wrong with a set-up, one sentence each, with what to do about it."""
from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
MINIMUM_PYTHON = (3, 11)
# Without these a chapter does not open; `book` and `test` are for those who build and change things.
READER_EXTRAS = ("", "lab", "data")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True)
class Finding:
    """kind: "good", "note" (worth knowing; reading and training work) or "broken"."""
    kind: str
    sentence: str


def examine() -> Iterator[Finding]:
    """All findings, the quick ones first."""
    yield python_version(sys.version_info[:3])
    yield from packages(requirements())
    yield torch_works()
    yield threads(os.environ, os.cpu_count() or 1)
    yield bundled_data()
    yield kernel()
    yield cache()
    yield notebooks_can_be_saved(PACKAGE.parent / "notebooks")
    yield from tools_of_the_tests(shutil.which)


def as_text(findings: list[Finding]) -> str:
    """The findings for a terminal, and a last line that counts the broken ones."""
    marks = {"good": "  ok      ", "note": "  note    ", "broken": "  BROKEN  "}
    broken = sum(finding.kind == "broken" for finding in findings)
    return "\n".join([*(marks[f.kind] + f.sentence for f in findings),
                      f"{broken} thing(s) to mend." if broken else "Chapters will open and train here."])


def python_version(version: tuple[int, int, int]) -> Finding:
    name = ".".join(map(str, version))
    if version < MINIMUM_PYTHON:
        return Finding("broken", f"Python {name} is too old; nde_lab needs 3.11 or newer.")
    return Finding("good", f"Python {name} ({sys.executable}), nde_lab from {PACKAGE}.")


def requirements() -> dict[str, list]:
    """{extra ("" for the core): [Requirement, ...]} of the checkout, else of the installed package."""
    from packaging.requirements import Requirement
    project = PACKAGE.parent / "pyproject.toml"
    if project.is_file():
        import tomllib
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        lists = {"": table["dependencies"], **table["optional-dependencies"]}
        return {extra: [Requirement(line) for line in lines] for extra, lines in lists.items()}
    found: dict[str, list] = {"": []}
    for line in importlib.metadata.requires("nde_lab") or []:
        extra = re.search(r"extra == ['\"](\w+)['\"]", line)
        found.setdefault(extra.group(1) if extra else "", []).append(Requirement(line.partition(";")[0]))
    return found


def packages(required: dict[str, list]) -> Iterator[Finding]:
    """One finding for each package that is missing or too old, and one for each group that is complete."""
    for extra, wanted in required.items():
        kind = "broken" if extra in READER_EXTRAS else "note"
        remedy = f'pip install "nde_lab[{extra}]"' if extra else "pip install nde_lab"
        short = []
        for requirement in wanted:
            try:
                version = importlib.metadata.version(requirement.name)
            except importlib.metadata.PackageNotFoundError:
                short.append(f"{requirement.name} is missing")
                continue
            if not requirement.specifier.contains(version, prereleases=True):
                short.append(f"{requirement.name} is {version}, needed is {requirement.specifier}")
        group = f"the extra `{extra}`" if extra else "the core"
        if short:
            yield Finding(kind, f"Packages of {group}: {'; '.join(short)}. Run start.py again, or {remedy}.")
        else:
            yield Finding("good", f"Packages of {group}: all {len(wanted)} there.")


def torch_works() -> Finding:
    """Train for one step in a process of its own: a broken torch may end the process that imports it."""
    step = ("import torch; x = torch.ones(2, requires_grad=True); (x @ x).backward();"
            "print(torch.__version__, float(x.grad[0]))")
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", step], capture_output=True, text=True)
    version, _, gradient = answer.stdout.strip().partition(" ")
    if answer.returncode or gradient != "2.0":
        last = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
        return Finding("broken", f"torch does not start: {last}. Delete .venv and run start.py again; on "
                                 "Linux torch needs the nvidia-* packages of the lock even without a GPU.")
    return Finding("good", f"torch {version} starts and differentiates.")


def threads(environment, cores: int) -> Finding:
    given = environment.get("OMP_NUM_THREADS")
    if given and given.isdigit() and int(given) > cores:
        return Finding("note", f"OMP_NUM_THREADS is {given}, but there are {cores} cores: small steps become "
                               "slow. Unset it, or set it to 1.")
    return Finding("good", f"{cores} core(s); " + (f"OMP_NUM_THREADS is {given}." if given else
                                                   "torch chooses its number of threads."))


def bundled_data() -> Finding:
    """The real series come inside the aeon wheel; looked for without importing it (seconds)."""
    spec = importlib.util.find_spec("aeon")
    if spec is None:
        return Finding("broken", "aeon, which carries the real series, is missing: "
                                 'pip install "nde_lab[data]".')
    folder = Path(spec.origin).parent / "datasets" / "data" / "BasicMotions"
    if not folder.is_dir():
        return Finding("broken", f"aeon is there, but its bundled series are not ({folder}): "
                                 "pip install --force-reinstall aeon.")
    return Finding("good", "aeon carries its bundled series (BasicMotions among them).")


def kernel() -> Finding:
    """Notebooks run in the kernel called python3; a kernel of that name of another Python may come first."""
    if importlib.util.find_spec("jupyter_client") is None:
        return Finding("broken", "jupyter_client is missing, so no notebook can run: "
                                 'pip install "nde_lab[lab]".')
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding("broken", "there is no Jupyter kernel called python3: "
                                 "python -m ipykernel install --sys-prefix.")
    program = spec.argv[0]
    # Jupyter reads a bare "python" as the Python that it runs on itself.
    if not re.fullmatch(r"python[\d.]*", program) and Path(program).parent != Path(sys.executable).parent:
        return Finding("broken", f"the Jupyter kernel python3 starts another Python ({program}); remove "
                                 f"{spec.resource_dir}.")
    return Finding("good", "the Jupyter kernel python3 starts this Python.")


def cache() -> Finding:
    """Compiled programs are kept between sessions; without a place for them they are made again each time."""
    from nde_lab.native import store
    folder = store.folder()
    above = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        return Finding("note", f"The cache {folder} cannot be written ({above} is read-only or no folder): long runs "
                               "are compiled again in every session. Set NDE_LAB_CACHE to a folder of yours.")
    return Finding("good", f"Compiled programs are kept in {folder}.")


def notebooks_can_be_saved(folder: Path) -> Finding:
    """A clone on a read-only share opens and trains, but a student's changes are lost."""
    if not folder.is_dir():
        return Finding("good", "No chapters beside the package: this is an installation without a clone.")
    fixed = [path for path in (folder, *folder.rglob("*.ipynb")) if not os.access(path, os.W_OK)]
    if fixed:
        return Finding("note", f"{fixed[0]} cannot be written: chapters open and train, but changes cannot be saved. "
                               "Work in a copy of the clone.")
    return Finding("good", f"Chapters can be changed and saved in {folder}.")


def tools_of_the_tests(which) -> Iterator[Finding]:
    """Programs that only the tests use. ``which`` is shutil.which or a stand-in."""
    browser = next(filter(None, map(which, BROWSERS)), None)
    yield (Finding("good", f"Chromium for the browser tests: {browser}.") if browser else
           Finding("note", "no Chromium: the browser tests will fail (Debian: apt-get install chromium)."))
    node = which("node")
    yield (Finding("good", f"node for the tests of the pages: {node}.") if node else
           Finding("note", "no node: the tests of the pages will fail (Debian: apt-get install nodejs)."))
