"""Every claim of the chapter holds."""
import pytest

import nde_lab.odes.numerical_solvers.claims  # noqa: F401  (registers them)
from nde_lab.claims import claims

OURS = [c for c in claims(paper="on-neural-differential-equations")
        if c.function.__module__ == "nde_lab.odes.numerical_solvers.claims"]


@pytest.mark.parametrize("claim", OURS, ids=lambda c: c.name)
def test_claim_holds(claim):
    verdict = claim.function()
    assert verdict.holds, verdict


def test_there_are_six_quick_claims():
    assert len(OURS) == 6 and {c.cost for c in OURS} == {"quick"}
