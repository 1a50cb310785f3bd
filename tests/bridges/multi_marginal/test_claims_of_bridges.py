"""Every claim of the paper: quick ones run, long ones are stored and up to date."""
from claim_laws import claim_laws

from nde_lab.claims import claims

HERE = claims(module="nde_lab.bridges.multi_marginal")
test_quick, test_long, test_fails_are_claims = claim_laws(HERE)


def test_every_check_of_the_notes_has_its_claim():
    assert {c.name for c in HERE if c.cost == "quick"} == {
        "gaussian_precision", "grid_sinkhorn", "static_gives_dynamic", "two_clocks", "limits_of_noise", "reversal_bias",
        "left_over_noise", "markovian_fitting"}
    assert {c.name for c in HERE if c.cost == "long"} == {"ipf_on_the_line", "ipf_in_the_plane", "matched_middle"}
