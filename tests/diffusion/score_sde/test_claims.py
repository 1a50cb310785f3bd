"""The quick claims hold; what they measure can tell good from bad."""
import pytest
import torch

from nde_lab.claims import claims
from nde_lab.diffusion.score_sde import VP, log_likelihood
from nde_lab.diffusion.score_sde import claims as here
from nde_lab.random import Normal, Uniform, sample

QUICK = [c for c in claims(paper=here.PAPER) if c.cost == "quick" and c.function.__module__ == here.__name__]


# With the exact score a corrector does not pay for its evaluations; the ledger says so.
DOES_NOT_HOLD = {"correctors_at_equal_compute"}


@pytest.mark.parametrize("claim", QUICK, ids=lambda c: c.name)
def test_quick_claim_comes_out_as_the_chapter_says(claim):
    row = claim.run()
    assert row["verdict"]["holds"] == (claim.name not in DOES_NOT_HOLD), row["verdict"]


def test_every_check_of_the_notes_has_its_claim():
    assert {c.name for c in QUICK} == {"kernels", "ladders_are_discretisations", "flow_likelihoods",
                                        "steps_of_the_samplers", "sub_vp_is_bounded_by_vp",
                                        "correctors_at_equal_compute"}


def test_a_wrong_score_would_fail_the_likelihood_claim():
    """A score that is 20 % too small is off by far more than 0.01 nats."""
    drawn = sample({"u": Uniform((100,)), "z": Normal((100, 2))}, seed=0, stream="data", dtype=torch.float64)
    x, exact = here.RING.draw(drawn["u"], drawn["z"]), here.RING.score(VP())
    found = log_likelihood(VP(), lambda t, x: 0.8 * exact(t, x), x, steps=60)
    assert (found.log_p - here.RING.log_density(x)).mean().abs() > 0.05


def test_the_spread_of_the_data_is_a_fifth():
    drawn = sample({"u": Uniform((5000,)), "z": Normal((5000, 2))}, seed=3, stream="data", dtype=torch.float64)
    assert here.spread(here.RING.draw(drawn["u"], drawn["z"])) == pytest.approx(0.2, rel=0.03)


def test_a_forward_sde_of_another_noise_would_fail_the_kernels():
    z = sample({"z": Normal((100, 4000, 1))}, seed=1, stream="step")["z"]
    assert here.simulated_kernel(VP(), z)[1] == pytest.approx(VP().std(0.5).item(), rel=0.05)
    assert here.simulated_kernel(VP(last=10.0), z)[1] != pytest.approx(VP().std(0.5).item(), rel=0.05)


def test_a_ladder_of_another_slope_would_fail_the_ladders():
    assert here.ddpm_gap(1000) < 0.003 and here.smld_gap(1000) < 0.01
    slow = torch.cumprod(1 - VP().beta(torch.linspace(0.001, 1, 1000, dtype=torch.float64)) / 2000, 0)
    assert (slow[-1] - VP().mean(1.0)**2).abs() > 0.005
