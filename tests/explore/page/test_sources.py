import pytest

from nde_lab.explore.page.sources import code_hash, imported


def test_imports_are_followed_through_packages_and_functions():
    names = set(imported("nde_lab.sdes.stable_neural_sdes.stability"))
    assert {"nde_lab.experiment", "nde_lab.random", "nde_lab.knobs", "nde_lab.autodiff", "nde_lab.autodiff.eager",
            "nde_lab.sdes.stable_neural_sdes.forms", "nde_lab.views"} <= names
    assert not any(n.startswith("nde_lab.explore") or n == "nde_lab.claims" for n in names)


def test_a_module_outside_the_package_counts_itself_and_what_it_takes_from_the_package():
    names = set(imported("toys"))
    assert {"toys", "nde_lab.nets", "nde_lab.optimizers"} <= names and "torch" not in names


def test_the_hash_changes_with_any_file_behind_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in {"ndl_one.py": "from nde_lab import metrics\n", "ndl_two.py": "from nde_lab import knobs\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    one, two = code_hash("ndl_one"), code_hash("ndl_two")
    assert one != two and code_hash("ndl_one") == one
    (tmp_path / "ndl_one.py").write_text("from nde_lab import metrics  # another\n", encoding="utf-8")
    assert code_hash("ndl_one") != one


def test_a_module_without_a_file_is_refused():
    with pytest.raises(ValueError, match="no source file"):
        imported("no_such_module_at_all")
