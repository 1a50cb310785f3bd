"""The closed forms obey their differential equations, and each other."""
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.dynamics.deep_linear import theory

T64 = torch.float64
sizes = st.floats(1e-6, 3.0)
strengths = st.floats(0.05, 4.0)
depths = st.sampled_from([1, 2, 3, 5, 10, 50])


def tensor(*values):
    return torch.tensor(values, dtype=T64)


@given(s=strengths, u0=sizes)
def test_two_layers_solve_their_equation(s, u0):
    t, h = torch.linspace(0, 5 / s, 41, dtype=T64), 1e-5 / s
    u = theory.two_layers(t, s, u0)
    slope = (theory.two_layers(t + h, s, u0) - theory.two_layers(t - h, s, u0)) / (2 * h)
    assert float(theory.two_layers(tensor(0.0), s, u0)) == pytest.approx(u0)
    assert torch.allclose(slope, theory.rate(u, s, 2), rtol=1e-5, atol=1e-6 * s * s * (1 + u0 / s) ** 2)


@given(s=strengths, u0=sizes, N=depths)
def test_the_curve_of_any_depth_passes_where_its_time_says(s, u0, N):
    """learning_curve and learning_time are two quadratures; they meet."""
    for part in (0.1, 0.5, 0.9):
        uf = u0 + part * (s - u0)
        if abs(s - u0) < 0.02 * s:
            continue
        t = theory.learning_time(s, u0, uf, N) / N
        # A deep network's rise is sudden: compare times, to one part in a thousand.
        near = theory.learning_curve(tensor(0.999 * t, 1.001 * t), tensor(s), torch.tensor(u0, dtype=T64),
                                     torch.tensor(float(N)))
        assert float(near.min()) - 3e-3 * max(s, u0) < uf < float(near.max()) + 3e-3 * max(s, u0)


@given(s=strengths, u0=sizes)
def test_curves_of_depth_one_and_two_have_closed_forms(s, u0):
    t = torch.linspace(0, 6 / s, 50, dtype=T64)
    for N, exact in ((1, s + (u0 - s) * torch.exp(-t)), (2, theory.two_layers(t, s, u0))):
        got = theory.learning_curve(t, tensor(s), torch.tensor(u0, dtype=T64), torch.tensor(float(N)))[0]
        assert torch.allclose(got, exact, atol=3e-3 * max(s, u0))


def test_a_mode_that_starts_at_its_strength_stays():
    for N in (1, 2, 7):
        curve = theory.learning_curve(torch.linspace(0, 20, 9), torch.tensor([0.5]), torch.tensor(0.5),
                                      torch.tensor(float(N)))
        assert torch.allclose(curve, torch.full((1, 9), 0.5), atol=1e-4)


@given(s=strengths, N=depths, a=st.floats(0.01, 0.3), b=st.floats(0.35, 0.6), c=st.floats(0.65, 0.98))
def test_times_add_up_and_grow_with_depth_only_if_the_way_is_below_one(s, N, a, b, c):
    first, second, both = (theory.learning_time(s, p * s, q * s, N) for p, q in ((a, b), (b, c), (a, c)))
    assert first + second == pytest.approx(both, rel=1e-6)
    shallow = theory.learning_time(s, a * s, c * s, 1)
    if s <= 1 and N > 1:                # u^(2/N - 2) is larger than 1 all the way
        assert both > shallow


@given(s=strengths, a=st.floats(0.02, 0.5), b=st.floats(0.55, 0.97))
def test_times_have_closed_forms_at_two_and_at_infinite_depth(s, a, b):
    u0, uf = a * s, b * s
    assert theory.learning_time(s, u0, uf, 2) == pytest.approx(2 * theory.time_two_layers(s, u0, uf), rel=1e-8)
    limit = theory.infinite_depth_time(s, u0, uf)
    assert theory.learning_time(s, u0, uf, math.inf) == pytest.approx(limit, rel=1e-6)
    assert theory.learning_time(s, u0, uf, 1) == pytest.approx(math.log((s - u0) / (s - uf)), rel=1e-6)


@given(s=strengths, a0=st.floats(0.01, 2), b0=st.floats(0.01, 2))
def test_unbalanced_pairs_stay_on_their_hyperbola_and_solve_their_equation(s, a0, b0):
    t, h = torch.linspace(0, 3 / s, 31, dtype=T64), 1e-6 / s
    a, b = theory.unbalanced(t, s, a0, b0)
    if abs(a0**2 - b0**2) > 1e-4:              # closer to zero, c / (1 - z^2) loses digits
        assert torch.allclose(a * a - b * b, torch.full_like(a, a0**2 - b0**2), atol=1e-6 * (1 + a0**2 + b0**2))
        assert float(a[0]) == pytest.approx(a0, rel=1e-5) and float(b[0]) == pytest.approx(b0, rel=1e-5)
        late, early = theory.unbalanced(t + h, s, a0, b0), theory.unbalanced(t - h, s, a0, b0)
        u_slope = (late[0] * late[1] - early[0] * early[1]) / (2 * h)
        c = a0**2 - b0**2
        assert torch.allclose(u_slope, (c * c + 4 * (a * b) ** 2).sqrt() * (s - a * b), rtol=1e-3,
                              atol=1e-4 * (1 + s + abs(c)) ** 2)


def test_unbalanced_pairs_end_at_the_solution_and_meet_the_sigmoid_when_balanced():
    a, b = theory.unbalanced(tensor(0.0, 1e3), 2.0, 0.3, 0.01)
    assert float(a[1] * b[1]) == pytest.approx(2.0)
    near, exact = theory.unbalanced(tensor(1.0), 2.0, 0.3001, 0.2999), theory.two_layers(tensor(1.0), 2.0, 0.09)
    assert float(near[0] * near[1]) == pytest.approx(float(exact), rel=1e-4)
    swapped = theory.unbalanced(tensor(1.0), 2.0, 0.1, 0.4)
    other = theory.unbalanced(tensor(1.0), 2.0, 0.4, 0.1)
    assert torch.equal(swapped[0], other[1]) and torch.equal(swapped[1], other[0])


@given(s=st.floats(0.2, 4), N=st.sampled_from([1, 2, 3, 6]))
def test_the_stable_rate_is_two_over_the_largest_curvature(s, N):
    a = torch.full((N,), s ** (1 / N), dtype=T64, requires_grad=True)
    H = torch.autograd.functional.hessian(lambda a: 0.5 * (s - a.prod()) ** 2, a)
    assert 2 / float(torch.linalg.eigvalsh(H)[-1]) == pytest.approx(theory.largest_rate(s, N), rel=1e-6)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: theory.time_two_layers(1.0, 0.1, 1.0), "never goes from u0 = 0.1 to uf = 1"),
    (lambda: theory.time_two_layers(1.0, 0.1, 0.05), "choose uf between u0 and s"),
    (lambda: theory.time_two_layers(1.0, 0.0, 0.5), "u0 is 0.0; it takes a finite number > 0"),
    (lambda: theory.learning_time(1.0, 0.1, 0.5, 0), "number of weight matrices is a number >= 1"),
    (lambda: theory.largest_rate(-1.0, 2), "s is -1.0"),
    (lambda: theory.unbalanced(tensor(1.0), 1.0, 0.0, 1.0), "a0 is 0.0")])
def test_refusals(call, says):
    with pytest.raises(ValueError, match=says):
        call()
