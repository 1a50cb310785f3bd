"""The residual by autograd: zero for exact densities, closed forms, finite differences, refusals."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.ode_sde_gap import gaussian
from nde_lab.diffusion.ode_sde_gap.process import OU
from nde_lab.diffusion.ode_sde_gap.residual import derivatives, residual, residual_1d

T64 = torch.float64


def points(n, d):
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=g, dtype=T64), 3 * torch.rand(n, generator=g, dtype=T64)


@settings(deadline=None, max_examples=25)
@given(kappa=st.floats(0.3, 2.0), v0=st.floats(0.05, 3.0), d=st.integers(1, 3))
def test_the_misscaled_gaussian_has_its_closed_form(kappa, v0, d):
    x, t = points(20, d)
    kappa, v0 = torch.tensor(kappa, dtype=T64), torch.tensor(v0, dtype=T64)
    got = residual(lambda x, t: gaussian.potential(x, t, kappa=kappa, v0=v0), x, t)
    expected = gaussian.residual_exact(x, t, kappa=kappa, v0=v0)
    assert torch.allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_the_exact_density_leaves_nothing():
    x, t = points(50, 2)
    one, v0 = torch.tensor(1.0, dtype=T64), torch.tensor(0.3, dtype=T64)
    rest = residual(lambda x, t: gaussian.potential(x, t, kappa=one, v0=v0), x, t)
    assert float(rest.detach().abs().max()) < 1e-9
    # ... and a constant that changes in time does show: phi + t leaves 1.
    drifting = residual(lambda x, t: gaussian.potential(x, t, kappa=one, v0=v0) + t, x, t)
    assert torch.allclose(drifting, torch.ones_like(drifting))


def test_derivatives_against_finite_differences():
    def phi(x, t):
        return torch.sin(x[:, 0] * x[:, 1]) * torch.exp(-t) + x[:, 0] ** 3 * t

    (x, t), h = points(10, 2), 1e-4
    d = derivatives(phi, x, t)
    e = torch.eye(2, dtype=T64)
    for i in range(2):
        up, down = phi(x + h * e[i], t), phi(x - h * e[i], t)
        assert torch.allclose(d.gradient[:, i], (up - down) / (2 * h), atol=1e-6)
    laplacian = sum(phi(x + h * v, t) - 2 * phi(x, t) + phi(x - h * v, t) for v in e) / h**2
    assert torch.allclose(d.laplacian, laplacian, atol=1e-5)
    assert torch.allclose(d.rate, (phi(x, t + h) - phi(x, t - h)) / (2 * h), atol=1e-6)


def test_a_loss_of_the_residual_has_gradients():
    x, t = points(30, 1)
    v0 = torch.tensor(0.3, dtype=T64)

    def loss(kappa):
        return residual(lambda x, t: gaussian.potential(x, t, kappa=kappa, v0=v0), x, t).square().mean()

    kappa = torch.tensor(1.2, dtype=T64, requires_grad=True)
    loss(kappa).backward()
    h = 1e-5
    slope = (loss(torch.tensor(1.2 + h, dtype=T64)) - loss(torch.tensor(1.2 - h, dtype=T64))) / (2 * h)
    assert float(kappa.grad) == pytest.approx(float(slope.detach()), rel=1e-6)


def test_potentials_without_curvature_or_time_are_allowed():
    x, t = points(5, 2)
    got = residual(lambda x, t: x.sum(-1), x, t)
    assert torch.allclose(got, -2 - x.sum(-1) - 1)


def test_the_form_on_the_line_is_the_general_one():
    x, t = points(20, 1)
    d = derivatives(lambda x, t: (x[:, 0] * t).cos() - x[:, 0] ** 4, x, t)
    line = residual_1d(x[:, 0], d.rate, d.gradient[:, 0], d.laplacian)
    assert torch.allclose(line, residual(lambda x, t: (x[:, 0] * t).cos() - x[:, 0] ** 4, x, t))


def test_a_vector_field_is_refused():
    x, t = points(4, 2)
    with pytest.raises(ValueError, match=r"scalar potential, phi\(x, t\) of shape \(4,\), got \(4, 2\)"):
        residual(lambda x, t: -2 * x, x, t)
    with pytest.raises(ValueError, match="got float"):
        residual(lambda x, t: math.pi, x, t)


def test_times_outside_the_schedule_are_refused():
    x, t = points(4, 1)
    with pytest.raises(ValueError, match="times run from 0 to the horizon 0.5"):
        residual(lambda x, t: x.sum(-1), x, t + 1, within=OU(horizon=0.5))


def test_bad_shapes_are_refused():
    x, t = points(4, 2)
    with pytest.raises(ValueError, match=r"x must have shape \(B, d\)"):
        residual(lambda x, t: x.sum(-1), x[:, 0], t)
    with pytest.raises(ValueError, match=r"t shape \(B,\), got \(4, 2\) and \(3,\)"):
        residual(lambda x, t: x.sum(-1), x, t[:3])
