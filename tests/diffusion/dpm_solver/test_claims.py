"""The quick claims hold, and their measure can tell samplers apart."""
import pytest

from nde_lab.claims import claims
from nde_lab.diffusion.dpm_solver import claims as here

QUICK = [c for c in claims(paper=here.PAPER) if c.cost == "quick" and c.function.__module__ == here.__name__]


@pytest.mark.parametrize("claim", QUICK, ids=lambda c: c.name)
def test_quick_claim_holds(claim):
    row = claim.run()
    assert row["verdict"]["holds"], row["verdict"]


def test_every_statement_of_the_notes_has_its_claim():
    assert {c.name for c in QUICK} == {"dpm_orders", "first_order_is_ddim", "error_against_evaluations",
                                       "dpm_saves_evaluations"}


def test_evaluations_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="order 3 takes 3 evaluations a step; 20 is no multiple of that"):
        here.error("order 3", 20)
    with pytest.raises(ValueError, match="RK4 in t takes 4 evaluations"):
        here.error("RK4 in t", 6)
