"""The samplers' exact laws: Gaussian closed forms, conservation, order, the tridiagonal solver, W2."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.ode_sde_gap import gaussian, laws
from nde_lab.diffusion.ode_sde_gap.process import OU, Mixture, levels, prior_quantiles

T64 = torch.float64
OU1, V0 = OU(horizon=3.0, end=0.05), torch.tensor(0.3, dtype=T64)


def model(kappa):
    k = torch.tensor(kappa, dtype=T64)
    return (lambda x, t: gaussian.potential(x.unsqueeze(-1), t, kappa=k, v0=V0).reshape(1, -1),
            lambda x, t: -k * x / gaussian.variance(t, V0))


def sde_spread(kappa, *, steps, n=300):
    """Variance of the solved law and the exact one."""
    x = laws.cells(-6, 6, n, T64)
    p = laws.sde_law(model(kappa)[0], x, OU1.grid(steps, T64))[0]
    end = torch.tensor(OU1.end, dtype=T64)
    exact = gaussian.sde_variance(end, T=3.0, kappa=torch.tensor(kappa, dtype=T64), v0=V0)
    return float((p * x**2).sum() * (x[1] - x[0])), float(exact)


@pytest.mark.parametrize("kappa", [0.7, 1.0, 1.3])
def test_the_odes_law_has_the_closed_form_variance(kappa):
    q = laws.ode_law(model(kappa)[1], prior_quantiles(100), OU1.grid(40, T64))[0]
    end, k = (torch.tensor(v, dtype=T64) for v in (OU1.end, kappa))
    exact = gaussian.ode_variance(end, T=3.0, kappa=k, v0=V0)
    assert torch.allclose(q, prior_quantiles(100) * (exact / 0.5).sqrt(), rtol=1e-5)    # a linear flow scales


@pytest.mark.parametrize("kappa", [0.7, 1.0, 1.3])
def test_the_sdes_law_has_the_closed_form_variance(kappa):
    got, exact = sde_spread(kappa, steps=400)
    assert got == pytest.approx(exact, rel=6e-3)


def test_the_sde_solve_is_of_first_order_in_time():
    errors = [abs(got / exact - 1) for got, exact in (sde_spread(1.3, steps=s, n=600) for s in (25, 50, 100))]
    assert 1.7 < errors[0] / errors[1] < 2.3 and 1.7 < errors[1] / errors[2] < 2.4


def test_mass_is_kept_and_densities_stay_positive_at_any_step():
    x = laws.cells(-3, 3, 100, T64)
    for steps in (1, 3, 30):
        p = laws.sde_law(lambda x, t: -40 * (x[None] ** 2 - 1) ** 2 + 0 * t, x, OU().grid(steps, T64))
        assert float(p.sum() * (x[1] - x[0])) == pytest.approx(1, abs=1e-9) and bool((p > 0).all())


def test_a_stationary_law_is_kept_exactly():
    """phi whose sampler drift x + s is the gradient of log pi: nothing may move, at any cell size."""
    x = laws.cells(-3, 3, 30, T64)
    p = laws.sde_law(lambda x, t: -(x[None] ** 2) + 0 * t, x, OU().grid(7, T64))[0]
    pi = torch.exp(-(x**2))
    assert torch.allclose(p, pi / (pi.sum() * (x[1] - x[0])), rtol=1e-9)


def test_the_exact_score_brings_both_samplers_to_the_data():
    mixture, ou, u = Mixture(), OU(), levels(200)

    def score(x, t):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(mixture.log_density(x, t).sum(), x)[0]

    truth = mixture.quantiles(u, ou.end)
    ode = laws.ode_law(score, prior_quantiles(200), ou.grid(20, T64))[0]
    x = laws.cells(-3.5, 3.5, 200, T64)
    density = laws.sde_law(lambda x, t: mixture.log_density(x, t)[None], x, ou.grid(200, T64))
    sde = laws.quantiles(density, x, u)[0]
    # pi is not quite the law at T = 3: that alone is 9e-7.
    assert float(laws.w2_squared(ode, truth)) < 2e-6 and float(laws.w2_squared(sde, truth)) < 5e-6
    assert float(laws.w2_squared(ode, sde)) < 1e-5


@settings(deadline=None, max_examples=20)
@given(n=st.integers(2, 40), seed=st.integers(0, 999))
def test_cyclic_reduction_solves_tridiagonal_systems(n, seed):
    g = torch.Generator().manual_seed(seed)
    lower, upper, d = (torch.rand(3, n, generator=g, dtype=T64) - 0.5 for _ in range(3))
    lower[:, 0], upper[:, -1] = 0, 0
    diagonal = 1.1 + lower.abs() + upper.abs()
    y = laws.substitute(laws.eliminate(lower, diagonal, upper), d)
    matrix = (torch.diag_embed(diagonal) + torch.diag_embed(lower[:, 1:], -1)
              + torch.diag_embed(upper[:, :-1], 1))
    assert torch.allclose(torch.linalg.solve(matrix, d), y, rtol=1e-9, atol=1e-9)


def test_the_bernoulli_function_is_smooth_through_zero_and_tame_far_out():
    z = torch.tensor([-1e3, -1.0, -1e-3, -9.9e-4, 0.0, 9.9e-4, 1e-3, 1.0, 1e3], dtype=T64)
    b = laws.bernoulli(z)
    assert torch.isfinite(b).all() and float(b[4]) == 1.0 and 0 <= float(b[-1]) < 1e-30
    assert torch.allclose(b[1:-1] - b.flip(0)[1:-1], -z[1:-1], atol=1e-12)           # B(z) - B(-z) = -z


def test_quantiles_of_a_density_on_cells():
    x = laws.cells(0.0, 1.0, 10, T64)
    assert torch.allclose(laws.quantiles(torch.ones(1, 10, dtype=T64), x, levels(7))[0], levels(7))
    empty = torch.tensor([[0.0, 0, 5, 0, 0, 0, 0, 5, 0, 0]], dtype=T64)             # two cells, a gap between
    q = laws.quantiles(empty, x, torch.tensor([0.25, 0.75], dtype=T64))[0]
    assert torch.allclose(q, torch.tensor([0.25, 0.75], dtype=T64))


def test_w2_of_shifted_and_scaled_gaussians():
    q = prior_quantiles(5000)
    assert float(laws.w2_squared(q, q + 0.3)) == pytest.approx(0.09)
    assert float(laws.w2_squared(q, 2 * q)) == pytest.approx(0.5, rel=2e-3)         # (2 sd - sd)^2


def test_density_of_quantiles():
    place, dense = laws.spacing_density(prior_quantiles(400))
    exact = torch.exp(-(place**2)) / torch.pi**0.5
    assert torch.allclose(dense[20:-20], exact[20:-20], rtol=2e-3)


@pytest.mark.parametrize("make, words", [
    (lambda: laws.cells(1.0, 1.0, 10), "low < high"),
    (lambda: laws.cells(0.0, 1.0, 2), "at least 3 cells"),
    (lambda: laws.w2_squared(torch.zeros(4), torch.zeros(5)), "same levels, got 4 and 5"),
])
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
