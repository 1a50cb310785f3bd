"""The quick claims hold, and what they measure can tell right from wrong."""
import pytest
import torch

from nde_lab.claims import claims
from nde_lab.diffusion.principles_of_diffusion import SCHEDULES, claims as here, table
from nde_lab.diffusion.principles_of_diffusion.kernels import back

QUICK = [c for c in claims(paper=here.PAPER) if c.cost == "quick"]


@pytest.mark.parametrize("claim", QUICK, ids=lambda c: c.name)
def test_quick_claim_holds(claim):
    row = claim.run()
    assert row["verdict"]["holds"], row["verdict"]


def test_every_check_of_the_notes_has_its_claim():
    assert {c.name for c in QUICK} == {
        "four_predictions_one_kernel", "way_back_and_its_price", "score_matching_up_to_a_constant",
        "flow_matching_too", "same_marginals", "gaussian_flow_map", "guidance_is_not_tilting",
        "one_flow_four_schedules"}
    assert {c.name for c in claims(paper=here.PAPER)} - {c.name for c in QUICK} == {"consistency_on_the_ring"}


def test_a_wrong_target_would_be_seen():
    """With the score of another schedule the 'constant' depends on the network, by many standard errors."""
    t, x0, z, x = here.noised_ring(SCHEDULES["VP"], 100_000, seed=0)
    wrong = -SCHEDULES["VP"].std(t) * here.RING.score(SCHEDULES["linear"])(t, x)
    gaps = [((net(t, x) - z).square() - (net(t, x) - wrong).square()).sum(-1)
            for net in (here.random_net(0, 0), here.random_net(0, 1))]
    off = gaps[0] - gaps[1]
    assert (off.mean() / (off.std() / 100_000**0.5)).abs() > 10


def test_the_distance_tells_another_time_apart():
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    assert here.sliced_w2(x, x) == 0 and here.sliced_w2(x, 1.2 * x) == pytest.approx(0.2, abs=0.01)


def test_a_way_back_with_the_forward_variance_would_fail():
    c, to = back(SCHEDULES["VP"], 0.7, 0.4), SCHEDULES["VP"].coefficients(0.4)
    at = SCHEDULES["VP"].coefficients(0.7)
    between = at.std**2 - (at.mean / to.mean * to.std)**2
    assert (c.state**2 * at.std**2 + between - to.std**2).abs() > 0.01


def test_shares_in_modes():
    assert table.in_mode(table.RING.means) == 1.0 and table.in_mode(torch.zeros(3, 2)) == 0.0
