import subprocess
import sys
from pathlib import Path

import pytest
import torch
from solvers.sde_truths import F64, Geometric, Rotation, additive, slope, strong_order, weak_errors

import nde_lab
from nde_lab.solvers import SDE, Brownian, Grid, sdeint

BOTH = pytest.mark.parametrize("calculus", ["ito", "stratonovich"])


@BOTH
def test_strong_order_is_one(calculus):
    assert strong_order(Geometric(calculus), "milstein", channels=2) == pytest.approx(1.0, abs=0.08)


@BOTH
def test_strong_order_is_one_for_scalar_noise_that_turns(calculus):
    # (g . grad) g needs J g; J^T g, its transpose, has the other sign here and converges at 1/2 or not at
    # all.
    assert strong_order(Rotation(calculus), "milstein", channels=1) == pytest.approx(1.0, abs=0.08)


@BOTH
def test_weak_order_is_one(calculus):
    counts = (3, 4, 6, 8)
    errors = weak_errors(Geometric(calculus), "milstein", counts)
    assert slope([1 / n for n in counts], errors) == pytest.approx(1.0, abs=0.15)


def test_the_calculus_of_the_sde_picks_the_scheme():
    assert abs(strong_order(Geometric("ito"), "milstein", Geometric("stratonovich"), channels=2)) < 0.1


@BOTH
def test_additive_noise_needs_no_correction(calculus):
    path = Brownian.draw(Grid(0.0, 1.0, 20), (5, 3), seed=0, dtype=F64)
    y0 = torch.ones(5, 2, dtype=F64)
    ours = sdeint(additive(calculus), y0, [0.0, 1.0], path, "milstein", dt=0.05)
    assert torch.equal(ours, sdeint(additive("ito"), y0, [0.0, 1.0], path, "euler", dt=0.05))


@BOTH
def test_a_diffusion_that_mixes_coordinates_is_refused(calculus):
    mix = SDE(lambda t, y: -y, lambda t, y: torch.sin(y + y.flip(-1)), "diagonal", calculus)
    better = {"ito": "euler", "stratonovich": "heun"}[calculus]
    with pytest.raises(ValueError, match=f"mixes coordinates.*Use method='{better}'"):
        sdeint(mix, torch.rand(4, 3), [0.0, 1.0], method="milstein", dt=0.1, seed=0)
    plain = SDE(lambda t, y: -y, lambda t, y: torch.sin(y) * torch.cos(t), "diagonal", calculus)
    assert sdeint(plain, torch.rand(4, 3), [0.0, 1.0], method="milstein", dt=0.1, seed=0).isfinite().all()


def test_a_plain_simulation_carries_no_graph():
    y = sdeint(Geometric(), torch.ones(3, 2), [0.0, 1.0], method="milstein", dt=0.1, seed=0)
    assert not y.requires_grad
    with torch.no_grad():
        y0 = torch.ones(3, 2, requires_grad=True)
        again = sdeint(Geometric(), y0, [0.0, 1.0], method="milstein", dt=0.1, seed=0)
    assert not again.requires_grad and torch.equal(y, again)
    z = sdeint(Geometric(), y0, [0.0, 1.0], method="milstein", dt=0.1, seed=0)
    assert z.requires_grad and torch.equal(y, z.detach())


@BOTH
@pytest.mark.parametrize("noise", ["diagonal", "scalar"])
def test_increments_alone_may_ask_for_gradients(calculus, noise):
    dW = Brownian.draw(Grid(0.0, 0.5, 4), (2, 2 if noise == "diagonal" else 1), seed=0, dtype=F64).increments
    y0 = torch.tensor([[0.5, 1.0], [0.2, -0.4]], dtype=F64)
    assert torch.autograd.gradcheck(
        lambda dW: sdeint(Geometric(calculus, noise), y0, [0.0, 0.5], dW, "milstein", dt=0.125)[-1],
        dW.clone().requires_grad_())


def test_a_diffusion_of_time_alone_is_allowed():
    sde = SDE(lambda t, y: -y, lambda t, y: torch.cos(t) * torch.ones_like(y))
    euler = sdeint(sde, torch.ones(3, 2), [0.0, 1.0], method="euler", dt=0.1, seed=0)
    assert torch.equal(euler, sdeint(sde, torch.ones(3, 2), [0.0, 1.0], method="milstein", dt=0.1, seed=0))


def test_the_first_derivative_of_a_process_imports_nothing_heavy():
    code = """
import sys, torch
from nde_lab.solvers import SDE, sdeint
for noise, g in (("diagonal", lambda t, y: y), ("scalar", lambda t, y: y.unsqueeze(-1))):
    sdeint(SDE(lambda t, y: -y, g, noise), torch.ones(2, 2), [0.0, 1.0], method="milstein", dt=0.5, seed=0)
print([name for name in ("sympy", "torch._dynamo", "torchsde", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(nde_lab.__file__).parents[1])
    assert done.stdout.strip() == "[]"
