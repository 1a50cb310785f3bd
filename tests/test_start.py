"""start.py: which steps a set-up takes, when it takes none, and what it says when one fails.

That the steps themselves work is seen by every run of the suite in a fresh clone, which start.py set up.
"""
import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def start(tmp_path, monkeypatch):
    """The module, for a repository in a temporary folder; ``start.calls`` records the steps untaken."""
    spec = importlib.util.spec_from_file_location("start", ROOT / "start.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("requirements.lock", "requirements-lab.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    bin_folder = tmp_path / ".venv" / "bin"
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "CPU_MARK", tmp_path / ".venv" / "cpu-torch")
    monkeypatch.setattr(module, "BIN", bin_folder)
    monkeypatch.setattr(module, "PYTHON", bin_folder / "python")
    monkeypatch.setattr(sys, "platform", "linux")

    def make_venv():
        for file in (tmp_path / ".venv").glob("*-*"):
            file.unlink()
        bin_folder.mkdir(parents=True, exist_ok=True)
        (bin_folder / "python").unlink(missing_ok=True)
        (bin_folder / "python").symlink_to(sys.executable)
        module.calls.append("make .venv")
    module.calls = []
    monkeypatch.setattr(module, "make_venv", make_venv)
    monkeypatch.setattr(module, "fetch_uv", lambda index: module.calls.append(["uv", *index]))
    monkeypatch.setattr(module, "call", lambda command, purpose: module.calls.append(list(map(str, command))))
    return module


def set_up(start, command="lab", cpu=False, wheels=None) -> list:
    """The steps that this set-up takes."""
    start.calls.clear()
    start.set_up(command, cpu=cpu, wheels=wheels)
    return list(start.calls)


def test_an_old_python_reads_the_file_and_gets_the_sentence(start, monkeypatch):
    """Syntax of Python 3.7 throughout: a SyntaxError would tell the reader nothing."""
    ast.parse((ROOT / "start.py").read_text(encoding="utf-8"), feature_version=(3, 7))
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(start.Trouble, match="nde_lab needs Python 3.11 or newer; this is Python"):
        start.main(["lab"])


def test_only_two_commands(start):
    with pytest.raises(start.Trouble, match="two commands, `lab` and `test`; 'book' is neither"):
        start.main(["book"])
    with pytest.raises(start.Trouble, match="python3 start.py lab"):
        start.main([])


def test_options_of_the_set_up_are_taken_and_the_rest_is_passed_on(start, tmp_path):
    assert start.options(["--cpu", "-x", "a", "--wheels", str(tmp_path)]) == (True, tmp_path, ["-x", "a"])
    assert start.options(["--port", "9000"]) == (False, None, ["--port", "9000"])
    with pytest.raises(start.Trouble, match="no folder was given"):
        start.options(["--wheels"])
    with pytest.raises(start.Trouble, match="'nowhere' is not a folder"):
        start.options(["--wheels", "nowhere"])


def test_outside_linux_cpu_changes_nothing(start, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert start.options(["--cpu"]) == (False, None, [])
    assert "the usual torch is the CPU build" in capsys.readouterr().out


def test_the_lock_is_installed_with_hashes_and_without_resolving(start):
    made, uv, packages, itself = set_up(start, "lab")
    assert (made, uv) == ("make .venv", ["uv"])
    assert {"--no-deps", "--require-hashes"} < set(packages)
    assert packages[-1].endswith("requirements-lab.lock")
    assert {"--no-deps", "--no-build-isolation", "--no-index"} < set(itself), "no network for the package"
    assert set_up(start, "test")[1][-1].endswith("requirements.lock")


def test_the_second_time_nothing_is_done(start):
    set_up(start, "test")
    assert set_up(start, "test") == []
    assert set_up(start, "lab") == [], "a reader's packages are among those of the tests"


def test_a_readers_set_up_is_not_enough_for_the_tests(start):
    set_up(start, "lab")
    assert len(set_up(start, "test")) == 3


@pytest.mark.parametrize("name", ["requirements-lab.lock", "pyproject.toml"])
def test_changed_pins_are_installed_into_the_same_folder(start, name):
    set_up(start, "lab")
    with (start.ROOT / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    steps = set_up(start, "lab")
    assert steps and "make .venv" not in steps


def test_a_moved_folder_is_made_anew(start):
    """The programs in .venv carry its path."""
    set_up(start, "lab")
    stamp = start.stamp("lab")
    stamp.write_text(stamp.read_text("utf-8").replace(str(start.ROOT), "/somewhere/else"), encoding="utf-8")
    assert "make .venv" in set_up(start, "lab")


def test_a_broken_python_is_made_anew(start):
    set_up(start, "lab")
    start.PYTHON.unlink()
    start.PYTHON.symlink_to(start.ROOT / "gone")
    assert "make .venv" in set_up(start, "lab")


def test_cpu_takes_torch_alone_from_its_own_index_and_is_remembered(start):
    *_, torch, packages, _ = set_up(start, "lab", cpu=True)
    assert "--torch-backend=cpu" in torch and re.fullmatch(r"torch==[\d.]+", torch[-1])
    lock = Path(packages[-1]).read_text(encoding="utf-8")
    assert not re.search(r"^(torch==|nvidia|cuda)", lock, re.MULTILINE)
    whole = (start.ROOT / "requirements-lab.lock").read_text(encoding="utf-8")
    assert torch[-1] in whole and "torchsde==" in lock
    assert set_up(start, "lab") == [], "without --cpu it stays as it is"
    assert "--torch-backend=cpu" in set_up(start, "test")[1]


def test_cpu_that_did_not_work_is_not_remembered(start, monkeypatch):
    """PyTorch's index is out of reach: the plain command must then give the plain set-up."""
    with monkeypatch.context() as patch:
        patch.setattr(start, "call", lambda command, purpose: (_ for _ in ()).throw(start.Trouble(purpose)))
        with pytest.raises(start.Trouble, match="install the CPU build of torch"):
            start.set_up("lab", cpu=True, wheels=None)
    steps = set_up(start, "lab")
    assert steps[0] == "make .venv" and not any("--torch-backend=cpu" in step for step in steps)


def test_cpu_replaces_the_other_build_entirely(start):
    set_up(start, "lab")
    assert "make .venv" in set_up(start, "lab", cpu=True), "otherwise 3 GB of CUDA libraries would stay"


def test_wheels_are_the_only_source(start, tmp_path):
    steps = set_up(start, "lab", cpu=True, wheels=tmp_path)
    for step in steps[1:]:
        assert "--no-index" in step and "--torch-backend=cpu" not in step


def test_a_failed_step_says_what_to_do_and_leaves_no_stamp(start, monkeypatch):
    def fail(command, purpose):
        raise start.Trouble(purpose)
    monkeypatch.setattr(start, "call", fail)
    with pytest.raises(start.Trouble, match="install the packages"):
        start.set_up("lab", cpu=False, wheels=None)
    assert not start.stamps()


@pytest.mark.parametrize("free, words", [(80e9, "Most often there is no network"),
                                         (2e8, "The disk is full: 0.2 GB")])
def test_the_advice_fits_the_disk(monkeypatch, tmp_path, free, words):
    spec = importlib.util.spec_from_file_location("start", ROOT / "start.py")
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    monkeypatch.setattr(fresh.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": free}))
    with pytest.raises(fresh.Trouble, match=words):
        fresh.call([sys.executable, "-c", "raise SystemExit(1)"], "do it")
    fresh.call([sys.executable, "-c", ""], "do it")
