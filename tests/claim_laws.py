"""What holds for the claims of every paper, written once.

A paper's test file names the claims that do not hold here, as its chapter does, and takes its tests from here::

    from claim_laws import claim_laws

    FAILS = {"stated_energy_values"}                # four times as large as stated
    test_quick, test_long, test_fails_are_claims = claim_laws(claims(paper="..."), FAILS)
"""
from __future__ import annotations

import pytest

from nde_lab.claims import Claim


def claim_laws(found: list[Claim], fails: set[str] = frozenset()):
    """Three tests: quick claims, run now, and long ones, as stored by the present code, come out as the chapter says;
    each name in ``fails`` is one of ``found`` (a test list that outlived a claim would excuse nothing)."""
    def of(cost):
        return pytest.mark.parametrize("claim", [c for c in found if c.cost == cost], ids=lambda c: c.name)

    @of("quick")
    def quick_claims_come_out_as_the_chapter_says(claim):
        verdict = claim.function()
        assert verdict.holds == (claim.name not in fails), verdict

    @of("long")
    def long_claims_are_stored_by_this_code_and_come_out_as_the_chapter_says(claim):
        assert claim.stale() == ""
        verdict = claim.stored()["verdict"]
        assert verdict["holds"] == (claim.name not in fails), verdict

    def what_fails_is_a_claim():
        assert fails <= {c.name for c in found}

    return (quick_claims_come_out_as_the_chapter_says,
            long_claims_are_stored_by_this_code_and_come_out_as_the_chapter_says, what_fails_is_a_claim)
