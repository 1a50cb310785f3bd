"""The quick claims hold; the long ones are stored."""
import pytest

from nde_lab.claims import claims

HERE = claims(module="nde_lab.bridges.multi_marginal")
QUICK = [c for c in HERE if c.cost == "quick"]


@pytest.mark.parametrize("claim", QUICK, ids=lambda c: c.name)
def test_quick_claim_holds(claim):
    row = claim.run()
    assert row["verdict"]["holds"], row["verdict"]


def test_every_check_of_the_notes_has_its_claim():
    assert {c.name for c in QUICK} == {
        "gaussian_precision", "grid_sinkhorn", "static_gives_dynamic", "two_clocks", "limits_of_noise", "reversal_bias",
        "left_over_noise", "markovian_fitting"}
    assert {c.name for c in HERE} - {c.name for c in QUICK} >= {"ipf_on_the_line", "ipf_in_the_plane", "matched_middle"}
