"""The claims of both papers: quick ones hold, long ones are stored and not stale."""
import pytest

from nde_lab.claims import claims
from nde_lab.odes.locally_regularized import claims as local
from nde_lab.odes.opening_the_blackbox import claims as whole

ALL = [*claims(paper=whole.PAPER), *claims(paper=local.PAPER)]


@pytest.mark.parametrize("claim", [c for c in ALL if c.cost == "quick"], ids=lambda c: c.name)
def test_a_quick_claim_holds(claim):
    verdict = claim.function()
    assert verdict.holds, verdict


@pytest.mark.parametrize("claim", [c for c in ALL if c.cost == "long"], ids=lambda c: c.name)
def test_a_long_claim_has_a_stored_result_of_the_present_code(claim):
    assert claim.stale() == ""
    assert claim.stored()["verdict"]["measured"]


def test_the_table_tells_a_miss():
    import numpy as np
    plain = np.array([[31.0, 0.95]] * 3)
    for nfe, accuracy, holds in ((19.0, 0.94, True), (25.0, 0.94, False), (19.0, 0.92, False)):
        table, said = whole.compare(plain, {"x": np.array([[nfe, accuracy]] * 3)}, ratio=0.75, loss=0.02)
        assert said is holds and table["median NFE ratio, x"] == round(nfe / 31, 3)
