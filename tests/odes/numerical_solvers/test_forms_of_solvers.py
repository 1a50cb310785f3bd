"""Laws of the closed forms: growth factors against the library's own steps, boundaries, roots, exact
solutions."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.odes.numerical_solvers import forms
from nde_lab.odes.numerical_solvers.adaptive import injection, injection_exact
from nde_lab.odes.numerical_solvers.noise import FINE, coarse
from nde_lab.odes.numerical_solvers.orders import FIELDS, START, exact
from nde_lab.odes.numerical_solvers.stiffness import relaxation_exact, relaxation_step
from nde_lab.solvers import TABLEAUS, Brownian, Grid, integrate_ode, rk_step

T64 = torch.float64
parts = st.floats(-3, 3, allow_nan=False)


def pair(q: complex):
    return torch.tensor(q.real, dtype=T64), torch.tensor(q.imag, dtype=T64)


def turning(q: complex):
    """The plane's linear field that multiplies by q."""
    a = torch.tensor([[q.real, q.imag], [-q.imag, q.real]], dtype=T64)
    return lambda t, y: y @ a


@given(re=parts, im=parts, method=st.sampled_from(sorted(forms.GROWTH)))
def test_growth_is_what_one_step_of_the_library_does(re, im, method):
    step = rk_step(turning(complex(re, im)), 0.0, torch.tensor([[1.0, 0.0]], dtype=T64), 1.0, TABLEAUS[method])
    assert float(step.y.norm()) == pytest.approx(float(forms.growth(method, pair(complex(re, im)))), abs=1e-9)


@given(re=parts, im=parts)
def test_growth_of_the_implicit_methods(re, im):
    q = complex(re, im)
    if abs(1 - q) > 1e-3:
        assert float(forms.growth("implicit euler", pair(q))) == pytest.approx(abs(1 / (1 - q)))
    if abs(1 - q / 2) > 1e-3:
        assert float(forms.growth("trapezoid", pair(q))) == pytest.approx(abs((1 + q / 2) / (1 - q / 2)))


@given(re=parts, im=parts)
def test_the_two_roots_of_reversible_heun_are_eigenvalues_with_product_minus_one(re, im):
    q = complex(re, im)
    roots = [complex(float(a), float(b)) for a, b in forms.reversible_heun_roots(pair(q))]
    assert roots[0] * roots[1] == pytest.approx(-1, abs=1e-9)
    assert sum(roots) == pytest.approx(2 * q, abs=1e-9)


def test_the_good_root_follows_the_exponential_to_second_order():
    lam = -1 + 2j
    errors = [abs(complex(*map(float, forms.reversible_heun_roots(pair(h * lam))[0])) - np.exp(h * lam))
              for h in (0.02, 0.01)]
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("method", sorted(forms.GROWTH))
def test_the_boundary_is_closed_and_of_growth_one_and_ends_where_the_table_says(method):
    re, im = (torch.tensor(v, dtype=T64) for v in forms.boundary(method))
    assert float((forms.growth(method, (re, im)) - 1).abs().max()) < 1e-9
    assert abs(re[-1]) < 1e-6 and abs(im[-1]) < 1e-6
    assert float(re.min()) <= -TABLEAUS[method].stable + 1e-6
    assert float(forms.growth(method, pair(complex(-TABLEAUS[method].stable)))) == pytest.approx(1, abs=1e-5)


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(ValueError, match="no growth factor for method 'magic'; known: euler"):
        forms.growth("magic", pair(0j))


@pytest.mark.parametrize("problem", sorted(FIELDS))
def test_the_exact_solutions_solve_their_equations(problem):
    y0 = torch.tensor([START[problem]], dtype=T64)
    grid = Grid(0.0, 6.0, 6000)
    ys = integrate_ode(FIELDS[problem], y0, grid, method="rk4")[:, 0]
    assert float((ys - exact(problem, grid.tensor(T64))).abs().max()) < 1e-6


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("implicit", 1), ("trapezoid", 2), ("rk4", 4)])
def test_relaxation_steps_have_their_orders(method, order):
    errors = []
    for n in (320, 640):
        y, h = torch.tensor(1.5, dtype=T64), torch.tensor(1.0 / n, dtype=T64)
        for k in range(n):
            y = relaxation_step(method, k * h, y, h, 3.0)
        errors.append(abs(float(y - relaxation_exact(torch.tensor(1.0, dtype=T64), 1.5, 3.0))))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_the_exact_dose_solves_its_equation():
    width = torch.tensor([[0.4]], dtype=T64)
    grid = Grid(0.0, 12.0, 3000)
    ys = integrate_ode(lambda t, y: injection(t, y, 6.0, width), 0 * width, grid)[:, 0, 0]
    assert float((ys - injection_exact(grid.tensor(T64), 6.0, width)[0]).abs().max()) < 1e-7


@settings(max_examples=5)
@given(seed=st.integers(0, 2**20), n=st.sampled_from((4, 16, 64)))
def test_coarse_noise_is_that_of_the_library(seed, n):
    path = Brownian.draw(Grid(0.0, 1.0, FINE), (3, 1), seed=seed, dtype=T64)
    z, area = path.increments[..., 0] * FINE**0.5, path.areas[..., 0] * (12 * FINE) ** 0.5
    dW, H = coarse(z, area, n)
    other = path.coarsen(FINE // n)
    assert torch.allclose(dW, other.increments) and torch.allclose(H, other.areas)


def test_reversible_heun_in_plain_words_is_the_librarys():
    from nde_lab.odes.numerical_solvers.claims import reversible_heun_ode
    y0 = torch.tensor([[1.0, 0.3]], dtype=T64)
    field = lambda t, y: torch.sin(y.flip(-1)) + t      # noqa: E731
    ours = forms.reversible_heun(lambda t, y: field(torch.tensor(t, dtype=T64), y), 0.0, y0, 0.05, 20)
    assert torch.allclose(ours, reversible_heun_ode(field, y0, 1.0, 20), atol=1e-13)
