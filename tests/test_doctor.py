"""``nde-lab doctor``: each thing that can be broken is found, named, and comes with a remedy."""
import json
import sys

import pytest
from packaging.requirements import Requirement

from nde_lab import cli, doctor
from nde_lab.doctor import Finding


def test_this_set_up_is_sound(capsys):
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "BROKEN" not in printed and "Chapters will open and train here." in printed


def test_a_broken_set_up_ends_with_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("good", "a"), Finding("broken", "b is broken")])
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "BROKEN  b is broken" in printed and "1 thing(s) to mend." in printed


def test_an_old_python_is_refused():
    assert doctor.python_version((3, 10, 9)).kind == "broken"
    assert doctor.python_version((3, 11, 0)).kind == "good"


def test_missing_and_old_packages_are_named():
    required = {"": [Requirement("numpy>=999"), Requirement("no-such-package>=1"), Requirement("torch>=2.0")],
                "test": [Requirement("no-such-package>=1")], "lab": [Requirement("ipykernel>=1")]}
    core, test, lab = doctor.packages(required)
    assert core.kind == "broken" and "numpy is " in core.sentence and "needed is >=999" in core.sentence
    assert "no-such-package is missing" in core.sentence and "torch" not in core.sentence
    assert test.kind == "note", "a reader needs no tests"
    assert lab.kind == "good"


def test_the_installed_package_says_the_same_requirements_as_the_checkout(monkeypatch, tmp_path):
    """Without a pyproject.toml beside the package, the metadata of the installation answer."""
    from_checkout = doctor.requirements()
    monkeypatch.setattr(doctor, "PACKAGE", tmp_path / "nde_lab")
    names = {extra: {r.name for r in wanted} for extra, wanted in doctor.requirements().items()}
    assert names == {extra: {r.name for r in wanted} for extra, wanted in from_checkout.items()}


def test_a_torch_that_does_not_start_is_reported_with_its_last_words(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcudnn.so.9: cannot open')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = doctor.torch_works()
    assert finding.kind == "broken" and "libcudnn.so.9" in finding.sentence


@pytest.mark.parametrize("environment, kind", [({}, "good"), ({"OMP_NUM_THREADS": "1"}, "good"),
                                               ({"OMP_NUM_THREADS": "64"}, "note")])
def test_more_threads_than_cores_are_worth_a_note(environment, kind):
    assert doctor.threads(environment, 2).kind == kind


def test_a_kernel_of_another_python_is_found(monkeypatch, tmp_path):
    """A kernel python3 that was once installed for another Python would run the chapters without nde_lab."""
    assert doctor.kernel().kind == "good"
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["/opt/other/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = doctor.kernel()
    assert finding.kind == "broken"
    assert "/opt/other/bin/python" in finding.sentence and str(folder) in finding.sentence


def test_aeon_without_its_series_is_found(monkeypatch, tmp_path):
    (tmp_path / "aeon").mkdir()
    (tmp_path / "aeon" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "aeon", raising=False)
    finding = doctor.bundled_data()
    assert finding.kind == "broken" and "bundled series are not" in finding.sentence


def test_without_browser_and_node_reading_still_works():
    assert [f.kind for f in doctor.tools_of_the_tests(lambda name: None)] == ["note", "note"]
    assert [f.kind for f in doctor.tools_of_the_tests(lambda name: f"/usr/bin/{name}")] == ["good", "good"]


def test_a_cache_that_cannot_be_written_is_a_note_with_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("NDE_LAB_CACHE", str(tmp_path / "new" / "place"))
    assert doctor.cache().kind == "good", "folders that are not there yet will be made"
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    finding = doctor.cache()
    assert finding.kind == "note" and "NDE_LAB_CACHE" in finding.sentence and str(tmp_path) in finding.sentence
    monkeypatch.undo()
    (tmp_path / "file").touch()
    monkeypatch.setenv("NDE_LAB_CACHE", str(tmp_path / "file"))
    assert doctor.cache().kind == "note"


def test_a_clone_that_cannot_be_written_is_a_note(monkeypatch, tmp_path):
    assert doctor.notebooks_can_be_saved(tmp_path / "nowhere").kind == "good"
    chapter = tmp_path / "sdes" / "a.ipynb"
    chapter.parent.mkdir()
    chapter.touch()
    assert doctor.notebooks_can_be_saved(tmp_path).kind == "good"
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: path != chapter)
    finding = doctor.notebooks_can_be_saved(tmp_path)
    assert finding.kind == "note" and str(chapter) in finding.sentence and "copy" in finding.sentence
