"""Three gradients of one loss: against finite differences, against each other, and against the library's
solver."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.autodiff import trace
from nde_lab.odes.neural_odes import adjoints as ad
from nde_lab.odes.neural_odes.claims import even, gradient_table, setting, slopes
from nde_lab.odes.neural_odes.gradients import half_square, lorenz, tanh_field
from nde_lab.odes.neural_odes.memory import count_kept
from nde_lab.solvers import solve_ode

T64 = torch.float64


def test_the_gradient_by_backpropagation_is_that_of_finite_differences():
    params, y0 = setting()
    grads = ad.discretise_then_optimise(tanh_field, params, y0, even(5), loss=half_square, method="rk4")
    for name in ("w1", "b2", "y0"):
        at = {**params, "y0": y0}
        moved = torch.zeros_like(at[name])
        moved.view(-1)[3] = 1e-5

        def loss(sign, name=name, at=at, moved=moved):
            p = {**at, name: at[name] + sign * moved}
            return float(half_square(ad.solve(tanh_field, p, p["y0"], even(5), "rk4")))
        assert (loss(1) - loss(-1)) / 2e-5 == pytest.approx(float(grads[name].view(-1)[3]), rel=1e-6)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("heun", 3), ("rk4", 4)])
def test_the_continuous_adjoint_approaches_backpropagation_with_its_order(method, order):
    assert all(abs(s - order) < 0.15 for s in slopes(gradient_table()[method]["adjoint"]))


@settings(deadline=None, max_examples=10)
@given(n=st.integers(1, 25), seed=st.integers(0, 99))
def test_the_reversible_gradient_is_backpropagation_for_any_number_of_steps(n, seed):
    params, y0 = setting(seed)
    one, start = ad.reversible(tanh_field, params, y0, even(n), loss=half_square)
    other = ad.reversible_by_backpropagation(tanh_field, params, y0, even(n), loss=half_square)
    assert ad.difference(one, other) < 1e-13 and ad.difference(one, other, ["y0"]) < 1e-13
    assert torch.allclose(start, y0, atol=1e-12)


def test_a_sign_slip_in_the_adjoint_would_be_seen():
    """The distance between the two gradients tells a wrong sign: it is then of the size of the gradient."""
    params, y0 = setting()
    dto = ad.discretise_then_optimise(tanh_field, params, y0, even(40), loss=half_square, method="rk4")
    slipped = {n: -g if n.startswith("w1") else g for n, g in dto.items()}
    assert ad.difference(slipped, dto) > 0.1


def test_steps_of_zero_at_the_front_change_nothing():
    params, y0 = setting()
    for n in (1, 7, 20):
        padded = ad.steps(n, 1.0, 20, T64)
        assert padded.shape == (20,) and float(padded.sum()) == pytest.approx(1.0)
        assert int((padded > 0).sum()) == n and (padded[20 - n:] > 0).all()
        for gradient, more in ((ad.discretise_then_optimise, {"method": "heun"}),
                               (ad.optimise_then_discretise, {"method": "heun"}), (ad.reversible, {})):
            got, plain = (gradient(tanh_field, params, y0, hs, loss=half_square, **more)
                          for hs in (padded, even(n)))
            got, plain = (g[0] if isinstance(g, tuple) else g for g in (got, plain))
            assert ad.difference(got, plain) < 1e-14


@pytest.mark.parametrize("method", ad.SCHEMES)
def test_the_solution_is_that_of_the_library(method):
    params, y0 = setting()
    grid = torch.linspace(0, 1, 13, dtype=T64)
    theirs = solve_ode(lambda t, y: tanh_field(params, y), y0, grid, method=method, dt=1 / 12).ys[-1]
    assert torch.allclose(ad.solve(tanh_field, params, y0, even(12), method), theirs, atol=1e-13)


def test_a_dict_of_tensors_steps_like_one_tensor():
    y = torch.tensor([[1.0, 2.0, 3.0]], dtype=T64)
    whole = ad.rk(lambda s: {"y": lorenz(s["y"])}, {"y": y}, 0.01, "rk4")["y"]
    parts = ad.rk(lambda s: dict(zip("abc", lorenz(torch.stack([s["a"], s["b"], s["c"]], -1)).unbind(-1),
                                     strict=True)),
                  dict(zip("abc", y.unbind(-1), strict=True)), 0.01, "rk4")
    assert torch.allclose(whole, torch.stack([parts[n] for n in "abc"], -1), atol=1e-15)


def test_an_unknown_scheme_is_refused_by_name():
    params, y0 = setting()
    with pytest.raises(ValueError, match="leapfrog"):
        ad.solve(tanh_field, params, y0, even(3), "leapfrog")


def test_the_inverse_undoes_a_reversible_step():
    y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=T64)
    state = (y, y + 0.1, torch.sin(y + 0.1))
    after = ad.reversible_step(torch.sin, *state, 0.3)
    assert not torch.allclose(after[0], state[0], atol=1e-2)
    for a, b in zip(ad.reversible_inverse(torch.sin, *after, 0.3), state, strict=True):
        assert torch.allclose(a, b, atol=1e-14)


@pytest.mark.slow
def test_all_three_gradients_can_be_traced():
    params, y0 = setting(dtype=torch.float32)

    def all_three(params, y0, hs):
        through = ad.discretise_then_optimise(tanh_field, params, y0, hs, loss=half_square, method="midpoint")
        other, _ = ad.optimise_then_discretise(tanh_field, params, y0, hs, loss=half_square, method="midpoint")
        back, _ = ad.reversible(tanh_field, params, y0, hs, loss=half_square)
        return through["w1"], other["w1"], back["w1"]

    trace(all_three, (params, y0, even(9, torch.float32)))      # compares with the eager values itself


def test_kept_tensors_are_counted_while_they_are_held():
    def gradient(n):
        x = torch.ones(100, requires_grad=True)
        y = x
        for _ in range(n):
            y = torch.sin(y)
        torch.autograd.grad(y.sum(), x)
    few, many = count_kept(lambda: gradient(5)), count_kept(lambda: gradient(10))
    assert few.most_bytes == 5 * 400 and many.most_bytes == 10 * 400 and many.most_tensors == 10
    assert few.size == many.size == 0, "nothing is held afterwards"
    assert count_kept(lambda: [gradient(5) for _ in range(3)]).most_bytes == 5 * 400
    assert math.isfinite(few.most_tensors)
