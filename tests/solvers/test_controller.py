"""The step controller."""
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.solvers import PID
from nde_lab.solvers.controller import first_step


@given(q=st.floats(0, 1e6), order=st.integers(2, 6))
def test_the_default_is_the_integral_controller(q, order):
    one = np.ones(1)
    want = np.clip(0.9 * max(q, 1e-10) ** (-1 / order), 0.2, 10)
    assert PID().factor(np.array([q]), one, one, order)[0] == pytest.approx(want)


@given(st.tuples(*[st.floats(1e-3, 1e3)] * 3))
def test_numpy_and_torch_agree(q):
    pid = PID(0.4, 0.3, 0.1)
    a = pid.factor(*(np.array([v]) for v in q), 5)
    b = pid.factor(*(torch.tensor([v], dtype=torch.float64) for v in q), 5)
    assert a[0] == pytest.approx(b.item(), rel=1e-12)


def test_a_ratio_that_is_not_finite_takes_the_smallest_factor():
    one = np.ones(1)
    assert PID().factor(np.array([np.inf]), one, one, 5)[0] == 0.2
    assert PID(0.4, 0.3, 0.1).factor(np.array([np.inf]), one, one, 5)[0] == 0.2


def test_a_rising_error_shortens_the_step_of_a_pi_controller():
    pid, half = PID(0.4, 0.3), np.array([0.5])
    assert pid.factor(half, np.array([0.1]), half, 5) < pid.factor(half, half, half, 5)


@pytest.mark.parametrize("wrong, sentence", [
    (dict(min_factor=2.0), "min_factor < 1 < max_factor"), (dict(safety=1.5), r"safety must lie in \(0, 1\]"),
    (dict(integral=0.0), "must be positive, so that a large error shortens the step")])
def test_refusals(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        PID(**wrong)


def first(scale, longest=10.0):
    y0 = torch.ones(2, 3, dtype=torch.float64)

    def f(t, y):
        return -scale * y
    return first_step(f, torch.zeros(2, 1).double(), y0, f(0, y0), 1.0, 5, 1e-6, 1e-8, longest)


def test_the_first_step_is_shorter_for_a_faster_equation():
    steps = [first(scale)[0].item() for scale in (1.0, 10.0, 100.0, 1e6)]
    assert steps == sorted(steps, reverse=True)
    assert 1e6 * steps[-1] <= 1.0 + 1e-9 and 1e-3 < steps[0] < 1


def test_the_first_step_of_a_constant_and_the_longest():
    y0, zero = torch.ones(1, 2), torch.zeros(1, 2)
    assert 0 < first_step(lambda t, y: zero, torch.zeros(1, 1), y0, zero, 1.0, 5, 1e-6, 1e-8, 4.0).item() <= 4.0
    assert (first(1.0, longest=1e-4) == 1e-4).all()
