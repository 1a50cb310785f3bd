"""Two rings in the plane: jets, laws on a grid against closed forms, histograms, pictures, training."""
import json
import math

import pytest
import torch

from nde_lab.diffusion.ode_sde_gap import gaussian, plane, plane_laws, plane_table
from nde_lab.diffusion.ode_sde_gap.process import OU
from nde_lab.diffusion.ode_sde_gap.residual import derivatives, residual
from nde_lab.random import sample

T64, NET = torch.float64, plane.PlanePotential(6)


def params(models=2):
    draws = sample(NET.draws, seed=0, stream="start", dtype=T64)
    factor = torch.linspace(1, 2, models, dtype=T64)             # models that differ
    return {n: torch.stack([c * draws[n] for c in factor]) for n in NET.shapes}


def points(n=9):
    g = torch.Generator().manual_seed(1)
    return 2 * torch.randn(n, 2, generator=g, dtype=T64), 0.1 + 2 * torch.rand(n, generator=g, dtype=T64)


@pytest.mark.parametrize("model", [0, 1])
def test_jets_and_residual_are_autograds(model):
    p, (x, t) = params(), points()

    def phi(x, t):
        return NET.jet(p, x, t)["value"][model]
    jet, d = NET.jet(p, x, t), derivatives(phi, x, t)
    for name, due in (("value", d.value), ("slope", d.gradient), ("bend", d.laplacian), ("rate", d.rate)):
        assert torch.allclose(jet[name][model], due, rtol=1e-9, atol=1e-9), name
    assert torch.allclose(plane.residual(NET, p, x, t)[model], residual(phi, x, t), atol=1e-9)
    fewer = NET.jet(p, torch.stack([x, -x]), t[0], rate=False, bend=False)
    assert set(fewer) == {"value", "slope"}
    assert torch.allclose(fewer["slope"][0], NET.jet(p, x, t[0])["slope"][0])


def test_the_rings_density_has_mass_one_and_solves_the_fokker_planck_equation():
    rings = plane.Rings()
    x = plane_laws.places(80, T64)
    mass = rings.log_density(x, torch.tensor(0.1, dtype=T64)).exp().sum() * 0.1**2
    assert float(mass) == pytest.approx(1, abs=1e-3)
    at, t = points(6)
    rest = residual(lambda x, t: rings.log_density(x, t), at, t.clamp_min(0.3)).detach()
    assert float(rest.abs().max()) < 1e-5


def test_samples_follow_the_rings():
    rings, turn = plane.Rings(), torch.tensor([0.0, 0.25])
    got = rings.sample(torch.tensor([0, 1]), torch.tensor([0.0, 1.0]), turn)
    assert torch.allclose(got, torch.tensor([[1.3, 0.0], [0.0, 3.0]]), atol=1e-6)


@pytest.mark.parametrize("kappa", [0.8, 1.2])
def test_both_laws_of_a_misscaled_gaussian_have_their_variances(kappa):
    k, v0, ou, n = torch.tensor(kappa, dtype=T64), torch.tensor(0.3, dtype=T64), OU(horizon=2.0), 64
    x, end = plane_laws.places(n, T64), torch.tensor(ou.end, dtype=T64)

    def slope_and_bend(x, t):
        pull = k / gaussian.variance(t, v0)
        return -pull * x, -2 * pull * torch.ones_like(x[..., 0])
    made = {"ode": plane_laws.ode_law(slope_and_bend, ou.grid(15, T64), n),
            "sde": plane_laws.sde_law(lambda x, t: gaussian.potential(x, t, kappa=k, v0=v0)[None],
                                      ou.grid(60, T64), n)}
    for name, f, off in (("ode", gaussian.ode_variance, 1e-3), ("sde", gaussian.sde_variance, 4e-3)):
        due = float(f(end, T=2.0, kappa=k, v0=v0))
        assert float(made[name].sum()) == pytest.approx(1, abs=1e-9) and float(made[name].min()) >= -1e-12
        for axis in (0, 1):
            got = float((made[name].reshape(-1) * x[:, axis] ** 2).sum())
            assert got == pytest.approx(due, rel=off), (name, axis)


def test_an_odd_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="take an even K, got 5"):
        plane_laws.sde_law(lambda x, t: x.sum(-1)[None], OU().grid(5, T64), 4)


def test_pictures_have_x_along_the_last_axis():
    points = torch.tensor([[3.9, -3.9], [3.9, -3.9], [-9.0, 0.1], [0.1, 9.0]])
    got = plane_laws.histogram(points, 4)
    assert got[0, 3] == 0.5 and got[2, 0] == 0.25 and got[3, 2] == 0.25 and float(got.sum()) == 1
    fine = plane_laws.histogram(points, 8)
    assert torch.equal(plane_laws.binned(fine, 4), got)
    assert plane_laws.places(8)[1, 0] > plane_laws.places(8)[0, 0]
    with pytest.raises(ValueError, match="take a divisor of 8"):
        plane_laws.binned(fine, 3)


def test_training_lowers_the_denoising_loss_and_the_penalised_residual():
    net = plane.PlanePotential(16)
    draws = {"total": 30, "width": 16}
    _, trained = plane_table.trained((0.0, 10.0), **draws)
    _, start = plane_table.trained((0.0, 10.0), total=0, width=16)
    noise = sample(plane.batch_draws(), seed=9, stream="step")
    before, after = (plane.losses(net, p, plane_table.PROCESS, noise) for p in (start, trained))
    assert torch.equal(before[0][0], before[0][1])               # one start for all
    assert after[0][0] < before[0][0] and after[1][1] < 0.5 * after[1][0]


def test_stored_pictures_are_those_of_the_stored_table():
    rows = json.loads((plane_table.PICTURES.with_name("ode-sde-gap.json")).read_text(encoding="utf-8"))
    measured, pictures = rows["gap_falls_in_the_plane"]["verdict"]["measured"], plane_table.pictures()
    for i, w in enumerate(plane_table.WEIGHTS):
        for law in ("ode", "sde"):
            assert float(pictures[law][i].sum()) == pytest.approx(1, abs=2e-3)
    i = plane_table.WEIGHTS.index(10.0)
    again = plane_table.distance(*(plane_table.kept(pictures[n][i].double()) for n in ("ode", "sde")))
    assert again == pytest.approx(measured["w_R = 10"][0], rel=0.05)


def test_sampling_alone_makes_a_distance():
    assert plane_table.floor(20_000, seed=1) > plane_table.floor(500_000, seed=1) > 0
    assert math.isclose(plane_table.distance(*2 * [torch.full((4, 4), 1 / 16, dtype=T64)]), 0, abs_tol=1e-9)
