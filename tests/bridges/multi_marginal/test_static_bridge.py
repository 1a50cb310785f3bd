"""Bridges between clouds: the plan, the drifts that follow from it, mixtures of bridges, and the closed form."""
import pytest
import torch

from nde_lab.bridges.multi_marginal import (
    BridgeMixture,
    GaussianBridge,
    PointBridge,
    Reference,
    bridge_target,
    fitted_coupling,
    on_bridge,
    simulate,
)
from nde_lab.bridges.multi_marginal.static import log_density, potentials, squares
from nde_lab.exercises import normal

T64 = torch.float64
LINE = GaussianBridge.of(0, 1, 2, 0.25, sigma=1)
REFERENCES = pytest.mark.parametrize(("sigma", "pull", "horizon"), [(0.7, 0.0, 1.0), (1.0, 1.5, 1.0), (0.5, 0.3, 2.0)])


def clouds(n=12, m=9):
    return normal(n, 2, seed=1), normal(m, 2, seed=2) + 1.5


def on_grid(g, n=401):
    x = torch.linspace(-8, 8, n, dtype=T64)[:, None]
    a, b = (torch.softmax(-(x[:, 0] - m)**2 / (2 * S[0, 0]), 0) for m, S in ((g.m0, g.S0), (g.m1, g.S1)))
    return x, PointBridge.of(x, x, sigma=g.reference.sigma, a=a, b=b, tolerance=1e-12)


def test_on_a_grid_it_is_the_gaussian_bridge():
    x, bridge = on_grid(LINE)
    plan = bridge.plan()
    cov = x[:, 0] @ plan @ x[:, 0] - (plan.sum(1) @ x[:, 0]) * (plan.sum(0) @ x[:, 0])
    assert cov == pytest.approx(LINE.C.item(), abs=1e-6)
    y = normal(5, 1)
    for t in (0.2, 0.5, 0.8):
        assert torch.allclose(bridge.forward(y, t), LINE.forward(y, t), atol=1e-5)
        assert torch.allclose(bridge.backward(y, t), LINE.backward(y, t), atol=1e-5)


@REFERENCES
def test_marginals_and_the_shape_of_the_plan(sigma, pull, horizon):
    x, y = clouds()
    b = torch.arange(1.0, 10.0, dtype=T64) / 45
    bridge = PointBridge.of(x, y, sigma=sigma, pull=pull, horizon=horizon, b=b)
    plan = bridge.plan()
    assert torch.allclose(plan.sum(1), torch.full((12,), 1 / 12, dtype=T64), atol=1e-8)
    assert torch.allclose(plan.sum(0), b, atol=1e-8)
    # u q v: every 2 x 2 minor of plan / q vanishes
    q = bridge.reference
    rest = bridge.log_plan() - log_density(q.factor(horizon) * x, y, q.variance(horizon))
    assert torch.allclose(rest[1:, 1:] + rest[:-1, :-1], rest[1:, :-1] + rest[:-1, 1:], atol=1e-8)


@REFERENCES
def test_two_drifts_add_up_to_the_score_and_the_density_obeys_fokker_planck(sigma, pull, horizon):
    x, y = clouds()
    bridge = PointBridge.of(x, y, sigma=sigma, pull=pull, horizon=horizon)
    z, t, h = normal(6, 2, seed=5), 0.45 * horizon, 1e-4
    eye = torch.eye(2, dtype=T64)
    up = [bridge.log_density(z + h * e, t) for e in eye]
    down = [bridge.log_density(z - h * e, t) for e in eye]
    score = torch.stack([(a - b) / (2 * h) for a, b in zip(up, down, strict=True)], 1)
    both = bridge.forward(z, t) + bridge.backward(z, t)
    assert torch.allclose(both, sigma**2 * score, atol=1e-5)
    # d/dt log p = -div b - b . s + sigma^2/2 (lap log p + |s|^2)
    change = (bridge.log_density(z, t + h) - bridge.log_density(z, t - h)) / (2 * h)
    b = bridge.forward(z, t)
    divergence = sum((bridge.forward(z + h * e, t) - bridge.forward(z - h * e, t))[:, k] / (2 * h)
                     for k, e in enumerate(eye))
    laplace = sum(a + b - 2 * bridge.log_density(z, t) for a, b in zip(up, down, strict=True)) / h**2
    told = -divergence - (b * score).sum(1) + 0.5 * sigma**2 * (laplace + score.square().sum(1))
    assert torch.allclose(change, told, atol=1e-4)


@REFERENCES
def test_bridges_glued_onto_the_entropic_plan_have_its_drift(sigma, pull, horizon):
    x, y = clouds()
    bridge = PointBridge.of(x, y, sigma=sigma, pull=pull, horizon=horizon)
    mixture, z = BridgeMixture(bridge.reference, x, y, bridge.log_plan()), normal(7, 2, seed=3)
    for t in (0.1 * horizon, 0.6 * horizon):
        assert torch.allclose(mixture.forward(z, t), bridge.forward(z, t), atol=1e-7)
        assert torch.allclose(mixture.log_density(z, t), bridge.log_density(z, t), atol=1e-7)
    alone = BridgeMixture(bridge.reference, x, y, torch.full((12, 9), -1.0, dtype=T64))
    assert (alone.forward(z, 0.5 * horizon) - bridge.forward(z, 0.5 * horizon)).abs().max() > 0.05


def test_limits_of_the_noise():
    x = normal(8, 2, seed=1)
    y = x.flip(0) + 0.01 * normal(8, 2, seed=2)
    sharp = PointBridge.of(x, y, sigma=0.05).plan()
    assert torch.allclose(8 * sharp, torch.eye(8, dtype=T64).flip(0), atol=1e-3)
    vague = PointBridge.of(x, y, sigma=200.0).plan()
    assert torch.allclose(64 * vague, torch.ones(8, 8, dtype=T64), atol=1e-3)


def test_paths_of_the_drift_arrive():
    """From equal starts to two points of weights 0.8 and 0.2: share within 4 standard errors."""
    x1 = torch.tensor([[-1.0], [1.0]], dtype=T64)
    bridge = PointBridge.of(torch.zeros(1, 1), x1, sigma=1.0, b=[0.8, 0.2])
    path = simulate(bridge.forward, torch.zeros(4000, 1, dtype=T64), 1.0, normal(100, 4000, 1))
    assert ((path[-1] < 0).double().mean() - 0.8).abs() < 4 * (0.16 / 4000)**0.5
    assert path[-1].abs().sub(1).abs().mean() < 0.15


def test_on_bridge_and_its_target_agree_with_the_pinned_law():
    """Mean and variance of a pinned point, within 4 standard errors; the target is the mean rate of arrival."""
    q, n = Reference(0.8, pull=1.2, horizon=1.5), 40_000
    x0, x1 = torch.full((n, 1), 0.3, dtype=T64), torch.full((n, 1), -1.0, dtype=T64)
    t, s = 0.5, 0.5001
    x = on_bridge(q, t, x0, x1, normal(n, 1))
    at, soon = q.pinned(t), q.pinned(s)
    assert (x.mean() - (at.start * 0.3 - at.end)).abs() < 4 * (at.variance / n)**0.5
    assert (x.var() / at.variance - 1).abs() < 4 * (2 / n)**0.5
    # from x at time t the pinned mean moves at the target's rate
    rest = Reference(0.8, pull=1.2, horizon=1.0).pinned(s - t)
    moved = rest.start * x + rest.end * x1
    assert torch.allclose((moved - x) / (s - t), bridge_target(q, t, x, x1), atol=2e-3)
    assert soon.end > at.end


def test_the_traced_potentials_solve_the_static_problem():
    x, y = clouds()
    cost = 0.5 * squares(x, y)
    log_a, log_b = torch.full((12,), -2.4849, dtype=T64), torch.full((9,), -2.1972, dtype=T64)
    eps = torch.tensor(0.09, dtype=T64)
    log_u, log_v = potentials(cost, log_a, log_b, eps, 300)
    told = PointBridge.of(x, y, sigma=0.3).plan()
    assert torch.allclose((log_u[:, None] - cost / eps + log_v).exp(), told, atol=1e-4)


def test_iterated_markovian_fitting_ends_at_the_bridge():
    c, gaps = 0.0, []
    for _ in range(6):
        c = fitted_coupling(LINE, c)
        gaps.append(abs(c - LINE.C.item()))
    assert all(b < 0.2 * a for a, b in zip(gaps, gaps[1:], strict=False)) and gaps[-1] < 1e-4
    assert fitted_coupling(LINE, LINE.C.item()) == pytest.approx(LINE.C.item(), abs=1e-7)


def test_refusals():
    x, y = clouds()
    for call, says in ((lambda: PointBridge.of(x, y, sigma=0.0), "sigma must be a number above 0"),
                       (lambda: PointBridge.of(x[:, 0], y, sigma=1.0), r"the clouds are tensors \(n, d\)"),
                       (lambda: PointBridge.of(x, y[:, :1], sigma=1.0), r"got \(12, 2\) and \(9, 1\)"),
                       (lambda: PointBridge.of(x, y, sigma=1.0, a=[1.0]), "r has shape"),
                       (lambda: fitted_coupling(LINE, 0.6), "at most s0 s1 = 0.5"),
                       (lambda: fitted_coupling(GaussianBridge.of([0, 0], torch.eye(2), [0, 0], torch.eye(2), sigma=1),
                                                0.1), "for D = 1")):
        with pytest.raises(ValueError, match=says):
            call()
    bridge = PointBridge.of(x, y, sigma=1.0)
    for call in (lambda: bridge.forward(x, 1.0), lambda: bridge.backward(x, 0.0), lambda: bridge.log_density(x, 0.0),
                 lambda: bridge.forward(x, -0.5)):
        with pytest.raises(ValueError, match="the time must lie in"):
            call()
