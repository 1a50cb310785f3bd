"""The quick claims hold; helpers behind them mean what they say."""
import pytest
import torch

from nde_lab.claims import claims
from nde_lab.sdes.stable_neural_sdes import claims as here
from nde_lab.sdes.stable_neural_sdes import forms
from nde_lab.solvers import fitting

QUICK = [c for c in claims(paper=here.PAPER) if c.cost == "quick" and c.function.__module__ == here.__name__]


@pytest.mark.parametrize("claim", QUICK, ids=lambda c: c.name)
def test_quick_claim_holds(claim):
    row = claim.run()
    assert row["verdict"]["holds"], row["verdict"]


def test_there_are_quick_claims_for_every_stability_statement():
    assert {c.name for c in QUICK} >= {
        "rotation_noise", "stratonovich_rotation_is_neutral", "lsde_contracts", "lsde_bounds_the_path",
        "lnsde_mean_and_median", "gsde_keeps_zero_and_sign", "euler_threshold"}


def test_a_too_coarse_simulation_would_fail_the_rotation_claim():
    """The tolerance can tell: 20 Euler steps miss the closed form by far more than 5 %."""
    coarse = here.rotation_growth([2.0], steps=20, paths=2000, calculus="ito")[0]
    assert abs(coarse / forms.rotation_mean_square(sigma=2.0, a=1.0, t=2.0) - 1) > 0.10


def test_the_rotation_sde_declares_scalar_noise_and_its_calculus():
    sde = here.rotation_sde(a=1.0, sigma=torch.tensor(1.0), calculus="stratonovich")
    assert sde.noise_type == "scalar" and "heun" in fitting(sde) and "euler" not in fitting(sde)


def test_the_drift_of_the_contraction_claims_has_the_stated_margin():
    gamma = here._pull(2.0, 1.0, 8)
    z, other = here._pairs(500, 8, 3.0)
    gap = other - z
    assert torch.allclose(gap.norm(dim=1), torch.full((500,), 3.0, dtype=torch.float64))
    inner = ((gamma(other) - gamma(z)) * gap).sum(-1)
    assert (inner <= -1.0 * gap.square().sum(-1) + 1e-9).all()
