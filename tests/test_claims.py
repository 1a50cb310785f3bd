"""Claims: registration, the ledger, staleness, and what a stopped save leaves behind."""
import importlib
import json
import sys
from pathlib import Path

import pytest

import nde_lab
from nde_lab import claims as c

MODULE = '''"""A toy paper."""
from nde_lab.claims import Verdict, claim
from nde_lab.toypart.toy_paper.inner import VALUE


@claim(paper="toy-claims", where="Table 1", says="numbers are numbers")
def quick_one() -> Verdict:
    return Verdict({"value": VALUE}, "value > 1", VALUE > 1, unit="m")


@claim(paper="toy-claims", where="Fig. 2", says="slow but sure", cost="long", seeds=2)
def long_one() -> Verdict:
    """Measure."""
    return Verdict(VALUE, "value > 5", VALUE > 5, note="three words long")


@claim(paper="toy-claims", where="Fig. 3", says="another", cost="long")
def other_long() -> Verdict:
    return Verdict("as said", "as said", True)
'''
INNER = '"""What is measured."""\nVALUE = 2.5      # metres\n\n\ndef view():\n    return 1\n'


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A part "toypart" with the paper "toy_paper" (a package of two modules), outside the real package."""
    paper = tmp_path / "toypart" / "toy_paper"
    paper.mkdir(parents=True)
    (tmp_path / "toypart" / "__init__.py").write_text("")
    (paper / "__init__.py").write_text("")
    (paper / "unrelated.py").write_text("NOTHING = 0\n")
    (paper / "inner.py").write_text(INNER)
    (paper / "claims.py").write_text(MODULE)
    monkeypatch.setattr(nde_lab, "__path__", [*nde_lab.__path__, str(tmp_path)])
    monkeypatch.setattr(c, "PACKAGE", tmp_path)
    monkeypatch.setattr(c, "PARTS", ("toypart",))
    monkeypatch.setattr(c, "_CLAIMS", {})
    importlib.invalidate_caches()
    yield paper
    for name in [n for n in sys.modules if n.startswith("nde_lab.toypart")]:
        del sys.modules[name]


def by_name(rows):
    return {row["name"]: row for row in rows}


def test_a_registered_claim_knows_its_paper_and_the_decorated_function_stays_a_function(toy):
    found = {x.name: x for x in c.claims(paper="toy-claims")}
    assert set(found) == {"quick_one", "long_one", "other_long"}
    assert (found["long_one"].where, found["long_one"].cost, found["long_one"].seeds) == ("Fig. 2", "long", 2)
    assert found["quick_one"].function().holds


def test_claims_of_a_module_are_those_of_what_is_below_it(toy):
    home = "nde_lab.toypart.toy_paper"
    everything = {x.name for x in c.claims(paper="toy-claims")}
    assert {x.name for x in c.claims(module=home)} == everything
    assert {row["name"] for row in c.ledger(module=f"{home}.claims")} == everything
    with pytest.raises(ValueError, match="no claims in module 'nde_lab.toypart.toy'; modules with claims: nde_lab.*"):
        c.claims(module="nde_lab.toypart.toy")


def test_an_unknown_paper_is_refused_with_the_known_ones(toy):
    with pytest.raises(ValueError, match="no claims for paper 'toy-claim'; papers with claims: toy-claims"):
        c.claims(paper="toy-claim")
    with pytest.raises(ValueError, match="no claims for paper 'x'"):
        c.ledger(paper="x")


def test_an_unknown_cost_is_refused():
    with pytest.raises(ValueError, match='costs "quick" or "long", got \'slow\''):
        c.claim(paper="p", where="w", says="s", cost="slow")


def test_the_ledger_runs_quick_claims_and_says_which_long_ones_were_never_run(toy):
    said = []
    rows = by_name(c.ledger(paper="toy-claims", progress=said.append))
    assert rows["quick_one"]["verdict"]["holds"] and "verdict" not in rows["long_one"]
    assert "no stored result; run `nde-lab claims --paper toy-claims --long`" in rows["long_one"]["stale"]
    assert len(said) == 1 and "quick_one" in said[0]


def test_the_ledger_with_long_runs_stores_and_later_shows_without_running(toy, monkeypatch):
    rows = by_name(c.ledger(paper="toy-claims", long=True))
    assert rows["long_one"]["verdict"]["holds"] is False
    stored = json.loads((toy.parent / "results" / "toy-claims.json").read_text())
    assert set(stored) == {"long_one", "other_long"} and {"python", "torch"} <= set(stored["long_one"]["versions"])
    monkeypatch.setattr(c.Claim, "run", lambda self: pytest.fail("ran") if self.cost == "long" else {"name": "q"})
    rows = by_name(c.ledger(paper="toy-claims"))
    assert rows["long_one"]["verdict"]["measured"] == 2.5 and rows["long_one"]["stale"] == ""


def test_a_stored_result_is_stale_when_code_that_it_runs_changes_and_not_otherwise(toy):
    long_one = {x.name: x for x in c.claims()}["long_one"]
    long_one.save()
    assert long_one.modules() == ["nde_lab.toypart.toy_paper.claims", "nde_lab.toypart.toy_paper.inner"]
    (toy / "unrelated.py").write_text("NOTHING = 1\n")
    (toy / "inner.py").write_text('"""Reworded."""\n\n# a comment\nVALUE = (2.5)\n\n\ndef view():\n    return 2\n')
    (toy / "claims.py").write_text(MODULE.replace("slow but sure", "reworded").replace('"""Measure."""', '"""M."""'))
    assert long_one.stale() == ""
    (toy / "inner.py").write_text("VALUE = 2.6\n")
    assert "the code behind claim long_one has changed; run `nde-lab claims" in long_one.stale()
    (toy / "inner.py").write_text(INNER)
    assert long_one.stale() == ""
    (toy / "claims.py").write_text(MODULE.replace("value > 5", "value > 4"))
    assert long_one.stale() != ""


def test_a_module_named_in_uses_counts_and_one_that_does_not_exist_is_refused(toy):
    made = c.Claim(c.claims()[0].function, "p", "w", "s", uses=("nde_lab.toypart.toy_paper.unrelated",))
    before = made.code_hash()
    (toy / "unrelated.py").write_text("NOTHING = 2\n")
    assert made.code_hash() != before
    lost = c.Claim(made.function, "p", "w", "s", uses=("nde_lab.toypart.absent",))
    with pytest.raises(ValueError, match="uses the module 'nde_lab.toypart.absent', which does not exist"):
        lost.code_hash()


@pytest.mark.parametrize("where", ["run", "write", "replace"])
def test_an_interrupted_save_loses_nothing(toy, monkeypatch, where):
    found = {x.name: x for x in c.claims()}
    found["long_one"].save()
    before = found["long_one"].store.read_text()

    def stopped(*_args, **_kwargs):
        raise KeyboardInterrupt
    if where == "run":
        monkeypatch.setattr(c.Claim, "run", stopped)
    else:
        monkeypatch.setattr(Path, "write_text" if where == "write" else "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        found["other_long"].save()
    monkeypatch.undo()
    assert toy.joinpath("..", "results", "toy-claims.json").resolve().read_text() == before


def test_saving_one_claim_keeps_the_others_of_the_paper(toy):
    found = {x.name: x for x in c.claims()}
    found["long_one"].save()
    found["other_long"].save()
    assert found["long_one"].stored()["verdict"]["measured"] == 2.5
    assert found["other_long"].stored()["verdict"]["holds"] is True


def test_the_code_hash_is_of_the_code_that_ran_not_of_an_edit_made_meanwhile(toy, monkeypatch):
    long_one = {x.name: x for x in c.claims()}["long_one"]
    run = c.Claim.run

    def edited_while_running(self):
        (toy / "inner.py").write_text("VALUE = 9.0\n")
        return run(self)
    monkeypatch.setattr(c.Claim, "run", edited_while_running)
    long_one.save()
    assert "has changed" in long_one.stale()


def test_a_claim_must_return_a_verdict(toy):
    with pytest.raises(TypeError, match="returned bool; a claim returns a Verdict"):
        c.Claim(lambda: True, "p", "w", "s").run()


def test_the_text_shows_statement_bound_measurement_and_failures_as_failures(toy):
    text = c.as_text(c.ledger(paper="toy-claims", long=True))
    assert "toy-claims | quick_one | Table 1 | holds" in text
    assert "toy-claims | long_one | Fig. 2 | DOES NOT HOLD" in text
    for part in ("numbers are numbers", "value > 1", "we measure (m)", "three words long", "long,", "2 seed(s)",
                 "2 of 3 claims hold"):
        assert part in text
    (toy.parent / "results" / "toy-claims.json").unlink()
    assert "never run" in c.as_text(c.ledger(paper="toy-claims"))


def test_the_json_holds_numbers_of_numpy_and_torch_as_numbers_and_refuses_objects():
    import numpy as np
    import torch
    row = {"a": np.float64(1.5), "b": torch.tensor([1.0, 2.0]), "c": np.arange(2)}
    assert json.loads(c.main_json([row])) == [{"a": 1.5, "b": [1.0, 2.0], "c": [0, 1]}]
    with pytest.raises(TypeError, match="not object"):
        c.main_json([{"a": object()}])


def test_source_of_points_to_the_function(toy):
    place = c.source_of({x.name: x for x in c.claims()}["long_one"])
    module, line = place.split(":")
    assert module == "nde_lab.toypart.toy_paper.claims" and "@claim" in MODULE.splitlines()[int(line) - 1]


def test_all_papers_of_the_real_package_have_claims_with_a_place_and_a_sentence():
    for found in c.claims():
        assert found.where and len(found.says) > 10 and found.cost in ("quick", "long") and found.seeds >= 1
        assert found.function.__module__ in found.modules()
