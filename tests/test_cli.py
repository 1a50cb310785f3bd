"""The command line: what each command starts, what it says, and JupyterLab at the printed address."""
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from nde_lab import claims, cli
from nde_lab.claims import Verdict, claim


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A repository of its own, with the package as if installed from a wheel somewhere else."""
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "site-packages" / "nde_lab" / "cli.py"))
    (tmp_path / "repo" / "notebooks" / "sdes").mkdir(parents=True)
    for name in ("brownian_motion", "langevin"):
        (tmp_path / "repo" / "notebooks" / "sdes" / f"{name}.ipynb").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "repo" / "notebooks")
    return tmp_path / "repo"


def test_the_repository_is_found_from_a_folder_inside_it(elsewhere):
    assert cli.checkout("notebooks") == elsewhere


def test_outside_a_repository_the_sentence_says_so(elsewhere, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lab"]) == 2
    assert "the folder notebooks/ is neither beside the package nor above" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["langevin", "langevin.ipynb", "langevin.md", "sdes/langevin",
                                  "sdes/langevin.ipynb"])
def test_a_chapter_is_found_by_its_name(elsewhere, name):
    assert cli.find_notebook(name) == (elsewhere, Path("notebooks/sdes/langevin.ipynb"))


def test_the_first_chapter_is_the_default(elsewhere):
    first = Path("notebooks/sdes/brownian_motion.ipynb")
    assert cli.find_notebook(cli.FIRST_CHAPTER) == (elsewhere, first)


def test_a_path_is_taken_as_it_is(elsewhere, tmp_path):
    inside = elsewhere / "notebooks" / "sdes" / "langevin.ipynb"
    assert cli.find_notebook(str(inside)) == (elsewhere, Path("notebooks/sdes/langevin.ipynb"))
    own = tmp_path / "my.ipynb"
    own.write_text("{}", encoding="utf-8")
    assert cli.find_notebook(str(own)) == (tmp_path, Path("my.ipynb"))


def test_an_unknown_chapter_lists_the_known_ones(elsewhere, capsys):
    assert cli.main(["lab", "no_such"]) == 2
    assert "no notebook 'no_such'; the chapters are: brownian_motion, langevin" in capsys.readouterr().err


def test_a_port_outside_the_range_is_refused(capsys):
    assert cli.main(["lab", "--port", "70000"]) == 2
    assert "a port is a number from 1 to 65535, got 70000" in capsys.readouterr().err


def test_root_is_allowed_only_to_root():
    arguments = dict(port=8888, browser=True)
    assert "--allow-root" in cli.lab_command(Path("r"), Path("a.ipynb"), as_root=True, **arguments)
    assert "--allow-root" not in cli.lab_command(Path("r"), Path("a.ipynb"), as_root=False, **arguments)


def test_no_browser_is_opened_on_linux_without_a_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not cli.has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert cli.has_display()


@pytest.mark.slow
def test_jupyterlab_answers_at_the_printed_address(tmp_path):
    """The real thing: start it headless, follow the address, and one signal ends it."""
    notebook = tmp_path / "mine.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', encoding="utf-8")
    log = tmp_path / "log"
    environment = os.environ | {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "HOME": str(tmp_path)}
    with log.open("w") as output:
        server = subprocess.Popen([sys.executable, "-m", "nde_lab.cli", "lab", str(notebook), "--no-browser",
                                   "--port", "8961"], stdout=output, stderr=output, env=environment)
    try:
        deadline = time.monotonic() + 60
        address = r"http://127\.0\.0\.1:\d+/lab/tree/mine\.ipynb\?token=\w+"
        while not (found := re.search(address, log.read_text())):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        with urllib.request.urlopen(found.group(), timeout=30) as page:
            html = page.read().decode()
        config = re.search(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', html, re.DOTALL)
        disabled = json.loads(config.group(1))["disabledExtensions"]
        assert "@jupyterlab/apputils-extension:announcements" in disabled, "no pop-up about news"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


@pytest.fixture
def two_claims(monkeypatch):
    """A ledger of one claim that holds and one that does not."""
    monkeypatch.setattr(claims, "_CLAIMS", {})
    monkeypatch.setattr(claims, "load_all", lambda: None)

    @claim(paper="a-paper", where="Fig 1", says="the error halves")
    def halves():
        return Verdict(measured=0.5, expected="0.45 to 0.55", holds=True)

    @claim(paper="another", where="Table 2", says="it never fails")
    def never_fails():
        return Verdict(measured=0.1, expected="0", holds=False)


def test_claims_prints_what_holds_and_what_does_not(two_claims, capsys):
    assert cli.main(["claims"]) == 0
    printed = capsys.readouterr().out
    assert "the error halves" in printed and "DOES NOT HOLD" in printed and "1 of 2 claims hold" in printed


def test_claims_of_one_paper_as_json(two_claims, capsys):
    assert cli.main(["claims", "--paper", "another", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["verdict"]["holds"]) for row in rows] == [("never_fails", False)]


def test_claims_of_an_unknown_paper_names_the_known_ones(two_claims, capsys):
    assert cli.main(["claims", "--paper", "nobody"]) == 2
    assert "'nobody'; papers with claims: a-paper, another" in capsys.readouterr().err


def test_bench_runs_one_or_all_and_reports_a_failure(elsewhere, capfd):
    (elsewhere / "benchmarks").mkdir()
    (elsewhere / "benchmarks" / "fast.py").write_text("import sys; print('fast ran', sys.argv[1:])", encoding="utf-8")
    (elsewhere / "benchmarks" / "sad.py").write_text("raise SystemExit(3)", encoding="utf-8")
    assert cli.main(["bench", "fast"]) == 0
    assert "fast ran" in capfd.readouterr().out
    assert cli.main(["bench", "fast", "--moves", "3"]) == 0
    assert "fast ran ['--moves', '3']" in capfd.readouterr().out, "options go to the benchmark named"
    assert cli.main(["bench"]) == 3
    assert cli.main(["bench", "quick"]) == 2
    assert "no benchmark 'quick'; there are: fast, sad" in capfd.readouterr().err


def test_book_calls_sphinx_with_the_books_configuration(elsewhere, capfd):
    """A one-page book with the same layout: book/conf.py, sources under the root, pages in book/_build."""
    (elsewhere / "book").mkdir()
    settings = "root_doc = 'book/index'\ninclude_patterns = ['book/**']\n"
    (elsewhere / "book" / "conf.py").write_text(settings, encoding="utf-8")
    (elsewhere / "book" / "index.rst").write_text("Title\n=====\n", encoding="utf-8")
    assert cli.main(["book", "-q"]) == 0
    assert "Title" in (elsewhere / "book/_build/html/book/index.html").read_text(encoding="utf-8")
    assert "book/_build/html" in capfd.readouterr().out


def test_a_missing_package_is_named_with_its_extra(monkeypatch, capsys):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["lab"]) == 2
    assert "jupyterlab is not installed; it comes with the extra `lab`" in capsys.readouterr().err


def test_options_that_no_program_would_take_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["claims", "--papr", "x"])
    assert stop.value.code == 2
    assert "unrecognized arguments: --papr x" in capsys.readouterr().err
