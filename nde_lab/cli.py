"""The door: ``nde-lab lab | book | claims | course | bench | doctor``. ``nde-lab COMMAND --help`` explains each.

Every command is a thin call of something that can be imported or run by hand. A failure is a sentence and
exit code 2; ``doctor`` answers 1 when it found something broken.
"""
from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nde_lab

FIRST_CHAPTER = "sdes/brownian_motion.ipynb"


class UsageError(Exception):
    """What cannot be done, as a sentence for the terminal."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code. ``arguments`` defaults to those of the process."""
    parser = argparse.ArgumentParser(prog="nde-lab", description=nde_lab.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"nde_lab {nde_lab.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    lab = commands.add_parser("lab", help="open the live book in JupyterLab", description=(
        "Open JupyterLab on a chapter. Options it does not know go to JupyterLab, for example --ip=0.0.0.0."))
    lab.add_argument("notebook", nargs="?", default=FIRST_CHAPTER, metavar="NOTEBOOK",
                     help="a path, or a chapter's name such as stable_neural_sdes (default: the first)")
    lab.add_argument("--port", type=int, default=8888, help="first port to try (default 8888)")
    lab.add_argument("--no-browser", action="store_true", help="print the address, open no window")

    book = commands.add_parser("book", help="build the book's pages", description=(
        "Build the book into book/_build/html. Options it does not know go to sphinx-build, such as -W."))

    claims = commands.add_parser("claims", help="what the papers say, what we measure, whether it holds")
    claims.add_argument("--paper", metavar="SLUG", help="only this paper, for example stable-neural-sdes")
    claims.add_argument("--long", action="store_true", help="run the long claims again, store their results")
    claims.add_argument("--json", action="store_true", help="print JSON")

    course = commands.add_parser("course", help="notebooks for students, and grades for what they hand in")
    actions = course.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", help="write student and solved notebooks and a table of points")
    export.add_argument("chapters", nargs="*", metavar="CHAPTER", help="such as brownian_motion (default: all)")
    export.add_argument("--to", required=True, metavar="FOLDER", help="a new or empty folder")
    grade = actions.add_parser("grade", help="run handed-in notebooks, write a table", description=(
        "Run the answers of FOLDER/STUDENT/....ipynb or FOLDER/STUDENT.ipynb with the chapters' own checks, and "
        "write a table. Answers are programs: they run with your rights."))
    grade.add_argument("submissions", metavar="FOLDER")
    grade.add_argument("-o", "--output", default="grades.csv", metavar="FILE", help="default: grades.csv; a new file")
    grade.add_argument("--limit", type=float, default=60, metavar="SECONDS", help="for one exercise (default 60)")
    grade.add_argument("--jobs", type=int, default=1, metavar="N", help="notebooks at a time (default 1)")

    bench = commands.add_parser("bench", help="run the benchmarks", description=(
        "Run one benchmark or all. Options it does not know go to the benchmark named, such as --help."))
    bench.add_argument("name", nargs="?", metavar="NAME", help="one of benchmarks/*.py (default: all)")

    commands.add_parser("doctor", help="say what is wrong with this set-up")

    options, extra = parser.parse_known_args(arguments)
    passed_on = options.command in ("lab", "book") or (options.command == "bench" and options.name)
    if extra and not passed_on:
        commands.choices[options.command].error(f"unrecognized arguments: {' '.join(extra)}")
    try:
        return {"lab": run_lab, "book": run_book, "claims": run_claims, "course": run_course,
                "bench": run_bench, "doctor": run_doctor}[options.command](options, extra)
    except UsageError as error:
        print(f"nde-lab {options.command}: {error}", file=sys.stderr)
        return 2


def checkout(holding: str) -> Path:
    """The repository's root: the folder that has ``holding``, above this package or the current folder."""
    here = Path.cwd()
    for folder in (Path(__file__).resolve().parent.parent, here, *here.parents):
        if (folder / holding).is_dir():
            return folder
    raise UsageError(f"the folder {holding}/ is neither beside the package nor above {here}; it is part of "
                     "the repository, not of the installed package: call this inside a clone of it")


def need(module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{module} is not installed; it comes with the extra `{extra}`: "
                         f'pip install "nde_lab[{extra}]", or `python3 start.py test` for everything')


def run_lab(options, extra: list[str]) -> int:
    need("jupyterlab", "lab")
    if not 0 < options.port < 65536:
        raise UsageError(f"a port is a number from 1 to 65535, got {options.port}")
    root, notebook = find_notebook(options.notebook)
    command = lab_command(root, notebook, port=options.port,
                          browser=not options.no_browser and has_display(),
                          as_root=hasattr(os, "geteuid") and os.geteuid() == 0)
    settings = str(Path(__file__).parent / "jupyter")     # no pop-up about news, which would ask the network
    path = os.pathsep.join(filter(None, [settings, os.environ.get("JUPYTER_CONFIG_PATH")]))
    print(f"Opening {notebook}. The address is printed below; Ctrl-C ends the server.", flush=True)
    environment = os.environ | {"JUPYTER_CONFIG_PATH": path}
    if os.name != "nt":     # become the server: then a signal sent to this process reaches it
        os.execve(command[0], [*command, *extra], environment)
    return call([*command, *extra], env=environment)


def find_notebook(name: str) -> tuple[Path, Path]:
    """(folder that JupyterLab serves, notebook inside it) for a path or a chapter's name."""
    given = Path(name).expanduser()
    if given.is_file() and given.suffix in (".ipynb", ".md"):
        given = given.resolve()
        above = [folder for folder in given.parents if (folder / "notebooks").is_dir()]
        root = above[0] if above else given.parent
        return root, given.relative_to(root)
    root = checkout("notebooks")
    chapters = sorted((root / "notebooks").rglob("*.ipynb"))
    chapters = [c for c in chapters if ".ipynb_checkpoints" not in c.parts]
    wanted = given.with_suffix("").parts
    for chapter in chapters:
        if chapter.with_suffix("").parts[-len(wanted):] == wanted:
            return root, chapter.relative_to(root)
    names = ", ".join(chapter.stem for chapter in chapters)
    raise UsageError(f"no notebook {name!r}; the chapters are: {names or 'none yet'}")


def lab_command(root: Path, notebook: Path, *, port: int, browser: bool, as_root: bool) -> list[str]:
    """The JupyterLab call: serves ``root``, opens ``notebook``, and says little but the address."""
    return [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}",
            f"--LabApp.default_url=/lab/tree/{notebook.as_posix()}", f"--ServerApp.port={port}",
            "--Application.log_level=WARN", *([] if browser else ["--no-browser"]),
            *(["--allow-root"] if as_root else [])]


def has_display() -> bool:
    """On Linux without a screen, opening a browser would start a text browser in this very terminal."""
    return sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def run_book(options, extra: list[str]) -> int:
    need("myst_nb", "book")
    root = checkout("book")
    code = call([sys.executable, "-m", "sphinx", "-c", "book", "-b", "html", *extra, ".", "book/_build/html"],
                cwd=root)
    if code == 0:
        print(f"The book: {root / 'book/_build/html/index.html'}")
    return code


def run_claims(options, extra: list[str]) -> int:
    from nde_lab import claims
    try:
        rows = claims.ledger(paper=options.paper, long=options.long,
                             progress=lambda sentence: print(sentence, file=sys.stderr))
    except ValueError as error:
        raise UsageError(str(error)) from None
    print(claims.main_json(rows) if options.json else claims.as_text(rows))
    return 0


def run_course(options, extra: list[str]) -> int:
    need("jupytext", "lab")
    from nde_lab.course import chapters, export, grade
    root = checkout("notebooks")
    try:
        if options.action == "export":
            export.export(chapters.find_chapters(root, options.chapters), options.to)
            print(f"In {options.to}: student/, solution/, points.csv and nbgrader_config.py.")
            return 0
        if Path(options.output).exists():       # said before an hour of work, not after
            raise ValueError(f"{options.output} is there already; name another file, or remove it first")
        rows = grade.grade(options.submissions, chapters.find_chapters(root), limit=options.limit, jobs=options.jobs,
                           progress=lambda sentence: print(sentence, file=sys.stderr))
        grade.write(rows, options.output)
    except ValueError as error:
        raise UsageError(str(error)) from None
    for student in dict.fromkeys(row.student for row in rows):
        own = [row for row in rows if row.student == student]
        print(f"{student}: {sum(row.points for row in own):g} of {sum(row.of for row in own):g} points")
    print(f"The table: {options.output}")
    return 0


def run_bench(options, extra: list[str]) -> int:
    root = checkout("benchmarks")
    found = {file.stem: file for file in sorted((root / "benchmarks").glob("[!_]*.py"))}
    if options.name and options.name.removesuffix(".py") not in found:
        raise UsageError(f"no benchmark {options.name!r}; there are: {', '.join(found)}")
    chosen = [found[options.name.removesuffix(".py")]] if options.name else list(found.values())
    codes = []
    for file in chosen:
        print(f"== {file.stem}", flush=True)
        codes.append(call([sys.executable, str(file), *extra], cwd=root))
    return max(codes, default=0)


def run_doctor(options, extra: list[str]) -> int:
    from nde_lab import doctor
    findings = list(doctor.examine())
    print(doctor.as_text(findings))
    return int(any(finding.kind == "broken" for finding in findings))


def call(command: list[str], **options) -> int:
    """Run a program in this terminal and wait for it; Ctrl-C is for the program to answer."""
    process = subprocess.Popen(command, **options)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main())
