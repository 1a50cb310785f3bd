"""Every quick claim holds; the long ones have a stored result that fits their code."""
import pytest

from nde_lab.claims import claims
from nde_lab.odes.neural_odes import claims as here
from nde_lab.odes.neural_odes import power, sines, table

MODULES = tuple(m.__name__ for m in (here, power, sines, table))
OWN = [c for c in claims(paper=here.PAPER) if c.function.__module__ in MODULES]
QUICK = [c for c in OWN if c.cost == "quick"]


@pytest.mark.parametrize("claim", QUICK, ids=lambda c: c.name)
def test_quick_claim_holds(claim):
    row = claim.run()
    assert row["verdict"]["holds"], row["verdict"]


def test_there_is_a_claim_for_every_check_of_the_brief_that_this_chapter_carries():
    assert {c.name for c in OWN} >= {
        "gradient_orders", "reversible_gradient_is_exact", "continuous_adjoint_is_off", "memory_of_gradients",
        "lorenz_start_is_lost", "line_flow_cannot_swap", "cde_ignores_speed", "cde_degrades_gracefully",
        "latent_ode_on_power"}


@pytest.mark.parametrize("claim", [c for c in OWN if c.cost == "long"], ids=lambda c: c.name)
def test_long_claim_has_a_stored_result(claim):
    assert claim.stored() is not None
    assert claim.stale() == ""
