"""Every claim of the paper: quick ones run, long ones are stored and up to date."""
import pytest

from nde_lab.claims import claims

ALL = claims(paper="sinkhorn-newton-sparse")
QUICK = [c for c in ALL if c.cost == "quick"]
LONG = [c for c in ALL if c.cost == "long"]
FAILS = {"sparser_with_every_sweep"}            # the first sweep is the sparsest


@pytest.mark.parametrize("claim", QUICK, ids=lambda c: c.name)
def test_quick_claims_come_out_as_the_chapter_says(claim):
    assert claim.function().holds == (claim.name not in FAILS)


@pytest.mark.parametrize("claim", LONG, ids=lambda c: c.name)
def test_long_claims_are_stored_and_fresh(claim):
    assert claim.stale() == "" and claim.stored()["verdict"]["holds"]
