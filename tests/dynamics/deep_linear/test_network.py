"""Gradients, starts, and what descent leaves alone."""
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.dynamics.deep_linear import network, theory
from nde_lab.dynamics.deep_linear.network import (
    descend,
    gradients,
    imbalance,
    product,
    random_task,
    start,
    steps_to,
)

T64 = torch.float64
TASK = random_task([2.0, 1.0, 0.5], n_in=4, n_out=5)
widths = st.lists(st.integers(1, 5), min_size=2, max_size=6)


@given(widths=widths, seed=st.integers(0, 99))
def test_gradients_are_those_of_autograd(widths, seed):
    weights = [W.requires_grad_() for W in start("Gaussian", widths, 0.7, seed=seed)]
    target = random_task([1.0], n_in=widths[0], n_out=widths[-1], seed=seed).matrix
    loss = 0.5 * (target - product(weights)).square().sum()
    expected = torch.autograd.grad(loss, weights)
    got, value = gradients([W.detach() for W in weights], target)
    assert value == pytest.approx(float(loss.detach()))
    assert all(torch.allclose(g, e, atol=1e-12) for g, e in zip(got, expected, strict=True))


def test_the_loss_of_a_task_is_the_squared_error_over_whitened_examples():
    X = network.random_orthogonal(6, seed=3)[:4]                       # 4 inputs, 6 examples: X X^T = 1
    Y = torch.arange(18.0, dtype=T64).reshape(3, 6) / 10
    W = start("Gaussian", (4, 3), 1.0)[0]
    by_examples = 0.5 * (Y - W @ X).square().sum()
    rest = 0.5 * (Y.square().sum() - (Y @ X.T).square().sum())         # what no linear map can explain
    assert gradients([W], Y @ X.T)[1] + float(rest) == pytest.approx(float(by_examples))


@given(N=st.integers(1, 6), u0=st.floats(1e-5, 2), seed=st.integers(0, 99))
def test_an_aligned_start_is_decoupled_balanced_and_of_the_size_asked_for(N, u0, seed):
    weights = start("aligned", (4, *[6] * (N - 1), 5), u0, seed=seed, task=TASK)
    seen = TASK.U.T @ product(weights) @ TASK.V
    assert torch.allclose(seen, u0 * torch.eye(3, dtype=T64), atol=1e-12 + 1e-9 * u0)
    assert all(float(c.abs().max()) < 1e-12 + 1e-9 * u0 for c in imbalance(weights))


def test_an_aligned_network_follows_the_exact_curve_at_every_depth():
    for N, lr in ((1, 1e-3), (2, 1e-3), (4, 5e-4)):
        weights = start("aligned", (4, *[5] * (N - 1), 5), 0.05, task=TASK)
        steps = round(3 / (N * lr))
        _, seen = descend(weights, TASK.matrix, lr, steps, watch=lambda w: TASK.strengths(product(w)))
        t = lr * torch.arange(steps + 1, dtype=T64)
        exact = theory.learning_curve(t, TASK.s, torch.tensor(0.05, dtype=T64), torch.tensor(float(N)))
        assert float((torch.stack(seen) - exact.T).abs().max()) < 0.01


def test_an_unbalanced_pair_follows_its_closed_form():
    task, lr, steps = random_task([2.0], n_in=1, n_out=1), 1e-3, 1500
    V, U = (m.reshape(1, 1) for m in (task.V, task.U))
    weights, _ = descend([0.9 * V.T, 0.05 * U], task.matrix, lr, steps)
    a, b = theory.unbalanced(torch.tensor(lr * steps, dtype=T64), 2.0, 0.9, 0.05)
    assert abs(float(weights[0])) == pytest.approx(float(a), abs=5e-3)
    assert abs(float(weights[1])) == pytest.approx(float(b), abs=5e-3)


def test_starts_have_the_spectra_that_their_names_say():
    O1, O2 = start("orthogonal", (6, 6, 6), 0.25)
    assert torch.allclose(O1 @ O1.T, 0.5**2 * 4 * 0.25 * torch.eye(6, dtype=T64))
    assert not torch.allclose(O1, O2)
    W, = start("Gaussian", (200, 300), 0.5, seed=1)
    # 60000 entries: their variance is known to a relative standard error of sqrt(2 / 60000) = 0.6 %.
    assert float(W.square().mean()) * 200 == pytest.approx(0.25, rel=4 * math.sqrt(2 / 60000))


def test_random_orthogonal_matrices_are_spread_evenly():
    """The first entry of a uniform rotation of the plane of 3 dimensions has mean 0 and variance 1/3."""
    first = torch.stack([network.random_orthogonal(3, seed=k)[0, 0] for k in range(800)])
    assert abs(float(first.mean())) < 4 * (1 / 3 / 800) ** 0.5
    assert abs(float(first.square().mean()) - 1 / 3) < 4 * 0.3 / 800**0.5


def test_steps_to_counts_and_gives_up():
    weights = start("aligned", (4, 5), 1e-3, task=TASK)
    # One matrix: the error of every mode shrinks by 1 - lr a step, the loss by its square; 1 % at (0.9)^(2k).
    due = math.ceil(math.log(0.01) / 2 / math.log(0.9))
    assert steps_to(weights, TASK.matrix, 0.1, share=0.01, limit=100) == due
    assert steps_to(weights, TASK.matrix, 0.1, share=0.01, limit=5) == math.inf
    assert steps_to(weights, TASK.matrix, 5.0, share=0.01, limit=10**6) == math.inf      # diverges


def test_descent_can_stop_early_and_leaves_its_start_alone():
    weights = start("aligned", (4, 5, 5), 0.1, task=TASK)
    before = [W.clone() for W in weights]
    _, seen = descend(weights, TASK.matrix, 0.1, 10**4, watch=len, until=0.1)
    assert 1 < len(seen) < 200
    assert all(torch.equal(a, b) for a, b in zip(weights, before, strict=True))


@pytest.mark.parametrize(("call", "says"), [
    (lambda: start("xavier", (2, 2), 1.0), "aligned, orthogonal, Gaussian, got 'xavier'"),
    (lambda: start("Gaussian", (2,), 1.0), "at least two whole numbers"),
    (lambda: start("Gaussian", (2, 0), 1.0), "whole numbers >= 1"),
    (lambda: start("orthogonal", (2, 2), 0.0), "zero weights are a saddle"),
    (lambda: start("aligned", (4, 5), 1.0), "needs the task"),
    (lambda: start("aligned", (4, 2, 5), 1.0, task=TASK), "at least as many units as there are modes"),
    (lambda: random_task([1.0, 2.0], n_in=2, n_out=2), "falling order"),
    (lambda: random_task([1.0, 0.5], n_in=1, n_out=2), "1 to 1 positive numbers"),
    (lambda: descend([torch.eye(2)], torch.eye(2), 0.0, 5), "a learning rate is > 0")])
def test_refusals(call, says):
    with pytest.raises(ValueError, match=says):
        call()
