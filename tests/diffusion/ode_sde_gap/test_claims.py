"""The quick claims hold; their bounds can tell; the helpers of the long ones mean what they say."""
import pytest
import torch

from nde_lab.claims import claims
from nde_lab.diffusion.ode_sde_gap import claims as here
from nde_lab.diffusion.ode_sde_gap import laws, table
from nde_lab.diffusion.ode_sde_gap.gap import SamplerGap
from nde_lab.diffusion.ode_sde_gap.process import Mixture
from nde_lab.experiment import run

QUICK = [here.residual_has_its_closed_form, here.exact_score_leaves_no_gap, here.noise_forgives_a_wrong_score,
         here.bound_holds_for_gaussians]

# In the plane our networks are small and trained briefly: the gap rises again at w_R = 10, and the price hides
# the dip of the second column.
HOLDS_NOT = {"gap_falls_in_the_plane", "ode_gains_in_the_plane"}


@pytest.mark.parametrize("function", QUICK, ids=lambda f: f.__name__)
def test_quick_claim_holds(function):
    verdict = function()
    assert verdict.holds, verdict


@pytest.mark.parametrize("claim", [c for c in claims(paper=here.PAPER) if c.cost == "long"],
                         ids=lambda c: c.name)
def test_long_claim_has_a_fresh_result_and_says_whether_it_holds(claim):
    assert claim.stale() == ""
    assert claim.stored()["verdict"]["holds"] == (claim.name not in HOLDS_NOT)


def test_too_few_steps_would_fail_the_exact_score_claim():
    ode, sde, truth = here.mixture_laws(Mixture(), ode_steps=3, sde_steps=20)
    assert float(laws.w2_squared(ode, truth)) > 1e-5 and float(laws.w2_squared(sde, truth)) > 1e-5


def test_the_long_claims_train_on_the_draws_of_the_demo(monkeypatch):
    seen, plain = [], table.tr.updates

    def updates(net, ou, mixture, state, noise, **more):
        seen.append({n: state[n] for n in net.shapes} | noise)
        return plain(net, ou, mixture, state, noise, **more)

    monkeypatch.setattr(table.tr, "updates", updates)
    made = run(SamplerGap, seed=2, steps=2)
    made.step()
    table.trained((0.0, 1.0), total=25, seed=2)
    demo, own = seen
    assert demo.keys() == own.keys() and all(torch.equal(demo[n], own[n]) for n in demo)


def test_distances_are_those_of_the_solved_laws():
    net, params = table.trained((0.0, 1.0), total=25, seed=0, width=8)
    coarse = table.distances(net, params, ode_steps=10, sde_steps=64, n=120)
    fine = table.distances(net, params, ode_steps=20, sde_steps=128, n=240)
    assert coarse.shape == (2, 3) and bool((coarse > 0).all())
    assert torch.allclose(coarse, fine, rtol=0.05, atol=1e-4)


def test_a_number_of_updates_off_the_grid_is_refused():
    with pytest.raises(ValueError, match="multiple of 25, got 30"):
        table.trained((0.0,), total=30, seed=0)
