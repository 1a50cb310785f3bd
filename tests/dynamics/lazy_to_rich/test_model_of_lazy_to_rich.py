"""The closed forms: the means, the test loss, the kernel with its spectrum, and training with and without weights."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.autodiff import value_and_grad
from nde_lab.dynamics.lazy_to_rich import model
from nde_lab.dynamics.lazy_to_rich.claims import spectrum
from nde_lab.dynamics.lazy_to_rich.committee import full_batch_step, output
from nde_lab.dynamics.lazy_to_rich.simulator import (
    first_below,
    lazy_step,
    log_grid,
    problem,
    pull,
    rich_step,
    simulate,
)
from nde_lab.exercises import normal

T64 = torch.float64
sizes = {"D": st.integers(1, 9), "P": st.integers(1, 20), "N": st.integers(1, 12), "seed": st.integers(0, 10**6),
         "alpha": st.floats(0.5, 64), "eps": st.floats(0.02, 1.0)}


@settings(max_examples=30, deadline=None)
@given(**sizes)
def test_the_output_depends_on_two_means_only(D, P, N, seed, alpha, eps):
    p = problem(D=D, P=P, N=N, seed=seed)
    w, M = model.statistics(p.W0)
    assert torch.allclose(output(p.W0, p.X, alpha, eps), model.quadratic(p.X, alpha * w, alpha * eps * M), atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(centred=st.booleans(), **sizes)
def test_training_without_weights_is_training_with_weights(centred, D, P, N, seed, alpha, eps):
    p, steps, eta0 = problem(D=D, P=P, N=N, seed=seed), 25, 0.05
    made = simulate(p, alpha=alpha, eps=eps, eta0=eta0, steps=steps, centred=centred)
    W, goal = p.W0, p.y + centred * output(p.W0, p.X, alpha, eps)
    for _ in range(steps + 1):
        train = float((output(W, p.X, alpha, eps) - goal).square().mean())
        W = full_batch_step(W, p.X, goal, alpha=alpha, eps=eps, eta0=eta0)
    w, M = model.statistics(W)
    assert made["train"][-1] == pytest.approx(train, rel=1e-10, abs=1e-12)
    assert np.abs(made["w"] - w.numpy()).max() < 1e-10 * (1 + float(w.abs().max()))
    assert np.abs(made["M"] - M.numpy()).max() < 1e-10 * (1 + float(M.abs().max()))


@pytest.mark.parametrize("shared", [False, True])
def test_the_step_in_two_products_is_gradient_descent(shared):
    p, alpha, eps, eta0 = problem(D=7, P=11, N=5), 2.0, 0.4, 0.3
    share = torch.tensor([0.5, 0.25, 0.25, 0.0, 0.0], dtype=T64) if shared else torch.full((5,), 0.2, dtype=T64)

    def loss(q):
        f = alpha * (model.phi(p.X @ q["W"].T, eps) * share).sum(1)
        return (f - p.y).square().mean()
    _, grad = value_and_grad(loss, {"W": p.W0})
    # A unit that counts for nothing feels nothing in autograd; in the library it moves without effect.
    by_hand = p.W0 - eta0 / alpha**2 * grad["W"] / share.clamp(min=1e-9)[:, None]
    got = full_batch_step(p.W0, p.X, p.y, alpha=alpha, eps=eps, eta0=eta0, share=share if shared else None)
    assert torch.allclose(got[share > 0], by_hand[share > 0], atol=1e-12)


def test_many_problems_at_once_are_the_same_as_one_by_one():
    eps = 0.3
    X, w, M, e = normal(3, 9, 4), normal(3, 4, seed=1), normal(3, 4, 4, seed=2), normal(3, 9, seed=3)
    M, beta = M @ M.mT, normal(3, 4, seed=4)
    v, S = pull(X, e)
    for k in range(3):
        vk, Sk = pull(X[k], e[k])
        assert torch.allclose(v[k], vk) and torch.allclose(S[k], Sk)
        assert torch.allclose(model.quadratic(X, w, M)[k], model.quadratic(X[k], w[k], M[k]))
        together, alone = rich_step(w, M, v, S, 0.1, eps), rich_step(w[k], M[k], vk, Sk, 0.1, eps)
        lazy, lazy_alone = lazy_step(w, M, w, M, v, S, 0.1, eps), lazy_step(w[k], M[k], w[k], M[k], vk, Sk, 0.1, eps)
        assert all(torch.allclose(a[k], b) for a, b in zip((*together, *lazy), (*alone, *lazy_alone), strict=True))
        assert torch.allclose(model.test_loss(w, M, beta).total[k], model.test_loss(w[k], M[k], beta[k]).total)
        assert torch.allclose(model.alignment(M, beta)[k], model.alignment(M[k], beta[k]))


def test_the_linearisation_is_the_limit_of_large_output_scales():
    p, gaps = problem(D=8, P=20, N=30), []
    lazy = simulate(p, alpha=1.0, eps=0.4, eta0=1.0, steps=60, lazy=True)
    for alpha in (10.0, 100.0, 1000.0):
        rich = simulate(p, alpha=alpha, eps=0.4, eta0=1.0, steps=60)
        gaps.append(np.abs(rich["test"] - lazy["test"]).max())
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.2) and gaps[1] / gaps[2] == pytest.approx(10, rel=0.2)


def test_the_linearisation_ends_at_kernel_regression():
    p = problem(D=6, P=15)
    lazy = simulate(p, alpha=1.0, eps=0.8, eta0=1.0, steps=6000, lazy=True)
    u, V, difficulty = model.kernel_regression(p.X, p.y, 0.8)
    assert np.allclose(lazy["u"], u, atol=1e-6) and np.allclose(lazy["V"], V, atol=1e-6)
    assert torch.allclose(model.quadratic(p.X, u, V), p.y)                    # it interpolates
    K = model.first_kernel(p.X, p.X, 0.8)
    assert difficulty == pytest.approx(float(p.y @ torch.linalg.inv(K) @ p.y))


@settings(max_examples=20, deadline=None)
@given(D=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_the_test_loss_by_quadrature(D, seed):
    """Exact on a grid of Gauss-Hermite nodes: the squared error is a polynomial of degree 4 in each coordinate."""
    u, V, beta = normal(D, seed=seed), normal(D, D, seed=seed + 1), normal(D, seed=seed + 2)
    V = V + V.T
    nodes, weight = np.polynomial.hermite_e.hermegauss(3)
    X = torch.as_tensor(np.stack(np.meshgrid(*[nodes] * D, indexing="ij"), -1).reshape(-1, D)) / D**0.5
    weights = np.prod(np.stack(np.meshgrid(*[weight / weight.sum()] * D, indexing="ij"), -1), -1).reshape(-1)
    exact = float((torch.as_tensor(weights) * (model.quadratic(X, u, V) - model.target(X, beta)).square()).sum())
    assert float(model.test_loss(u, V, beta).total) == pytest.approx(exact, rel=1e-10)


def test_the_test_loss_is_zero_only_for_the_target_itself():
    beta = normal(5)
    right = torch.outer(beta, beta)
    assert float(model.test_loss(torch.zeros(5, dtype=T64), right, beta).total) < 1e-28
    A, B, C = model.test_loss(normal(5, seed=1), 2 * right, beta)
    assert min(A, B, C) > 1e-3
    start = model.test_loss(torch.zeros(5, dtype=T64), torch.zeros(5, 5, dtype=T64), beta * 5**0.5 / beta.norm())
    assert [float(v) for v in start] == pytest.approx([0.25, 0.5, 0.0])


def test_the_tangent_kernel_is_the_product_of_gradients():
    p, alpha, eps = problem(D=4, P=6, N=9), 3.0, 0.7
    J = torch.autograd.functional.jacobian(lambda W: output(W, p.X, alpha, eps), p.W0).reshape(6, -1)
    K = model.tangent_kernel(p.X, p.X, p.w0, p.M0, eps)
    assert torch.allclose(J @ J.T * 9 / alpha**2, K)
    wide = model.tangent_kernel(p.X, p.X, torch.zeros(4, dtype=T64), torch.eye(4, dtype=T64), eps)
    assert torch.allclose(wide, model.first_kernel(p.X, p.X, eps))


@pytest.mark.parametrize("D", [1, 2, 3])
@pytest.mark.parametrize("eps", [0.05, 0.5, 1.0])
def test_the_spectrum_with_multiplicities_and_its_trace(D, eps):
    values = model.eigenvalues(D, eps)
    ours = sorted((v for v, n in values.values() for _ in range(n)), reverse=True)
    found = spectrum(D, eps)
    assert np.allclose(found[:len(ours)], ours, atol=1e-13) and np.abs(found[len(ours):]).max(initial=0.0) < 1e-13
    # The trace is the mean of K(x, x) = |x|^2 + eps^2 |x|^4.
    assert sum(ours) == pytest.approx(1 + eps**2 * (1 + 2 / D))


def test_cka_is_one_for_the_labels_own_kernel_and_blind_to_scale_and_shift():
    y = normal(12)
    own = torch.outer(y - y.mean(), y - y.mean())
    assert float(model.cka(own, y)) == pytest.approx(1)
    K = normal(12, 12, seed=1)
    K = K @ K.T
    assert float(model.cka(3 * K, 2 * y + 5)) == pytest.approx(float(model.cka(K, y)))
    assert abs(float(model.cka(K, y, centre=False))) <= 1


def test_alignment_runs_from_one_to_the_dimension():
    beta = normal(7)
    assert float(model.alignment(3 * torch.eye(7, dtype=T64), beta)) == pytest.approx(1)
    assert float(model.alignment(torch.outer(beta, beta), beta)) == pytest.approx(7)


def test_weights_of_another_size_are_another_scale_and_bend():
    scaled = simulate(problem(D=6, P=15, N=8, sigma=1.7), alpha=1.3, eps=0.2, eta0=0.5, steps=30)
    plain = simulate(problem(D=6, P=15, N=8), alpha=1.3 * 1.7, eps=0.2 * 1.7, eta0=0.5, steps=30)
    assert np.allclose(scaled["test"], plain["test"], rtol=1e-10)
    assert not np.allclose(scaled["test"], simulate(problem(D=6, P=15, N=8), alpha=1.3, eps=0.2, eta0=0.5,
                                                    steps=30)["test"], rtol=1e-3)


def test_reading_off_the_first_step_below():
    assert first_below([0, 1, 10, 100], [1.0, 1.0, 0.5, 0.1], 0.2) == pytest.approx(10 ** 1.75)
    assert first_below([0, 1, 10], [1.0, 0.9, 0.8], 0.5) == float("inf")
    assert first_below([0, 1, 2], [1.0, 0.1, 0.1], 0.5) == 1
    assert first_below([1, 10], [0.2, 0.1], 0.5, start=1.0) == 1
    grid = log_grid(300, 40)
    assert grid[0] == 1 and grid[-1] == 300 and (np.diff(grid) >= 1).all() and len(grid) <= 40


def test_refusals_say_what_was_given_and_what_to_do():
    with pytest.raises(ValueError, match="P is 0; it must be a whole number >= 1"):
        problem(P=0)
    with pytest.raises(ValueError, match="None for infinite width"):
        problem(N=-3)
    with pytest.raises(ValueError, match="sigma is -1"):
        problem(sigma=-1)
    with pytest.raises(ValueError, match="diverged before step .*lower eta0"):
        simulate(problem(D=10, P=20), alpha=0.05, eps=1.0, eta0=20.0, steps=200)
    p = problem(D=3, P=40)
    with pytest.raises(ValueError, match="cannot be inverted.*fewer inputs than D"):
        model.kernel_regression(p.X, p.y + normal(40), 0.5)
