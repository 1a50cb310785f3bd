"""The five exercises of the chapter on lazy and rich training; ``check.two_units(my_answer)`` answers with a hint."""
from __future__ import annotations

import torch

from nde_lab.dynamics.lazy_to_rich.committee import full_batch_step, output
from nde_lab.dynamics.lazy_to_rich.model import first_kernel, statistics, test_loss
from nde_lab.dynamics.lazy_to_rich.simulator import problem, simulate
from nde_lab.exercises import exercise, normal, require

T64 = torch.float64


def as_tensor(value) -> torch.Tensor:
    return torch.as_tensor(value, dtype=T64)


@exercise(hints=("How many numbers determine the functions u . x + x^T V x / 2 in D dimensions?",
                 "u has D numbers. V is symmetric: how many different entries has it?",
                 "D + D (D + 1) / 2 = D (D + 3) / 2."))
def lazy_needs(answer):
    """answer(D) -> the number of inputs from which kernel regression knows every function that it can express."""
    for D in (2, 4, 7):
        X = normal(60, D, seed=D)
        rank, got = int(torch.linalg.matrix_rank(first_kernel(X, X, 1.0))), float(answer(D))
        require(abs(got - rank) < 1e-6, f"for D = {D} you say {got:g}; the kernel matrix of 60 inputs has rank {rank}.")
    return "right for D = 2, 4, 7. It grows like D²/2: at D = 40 that is 860 inputs, and beta itself has 40 numbers."


@exercise(hints=("At which w and M are all three parts zero?",
                 "w = 0 says the two rows are opposite. M must be beta beta^T / (alpha eps).",
                 "The rows beta / sqrt(alpha eps) and its negative."))
def two_units(answer):
    """answer(beta, alpha, eps) -> W (2, D) of an uncentred network with test loss zero."""
    for seed, (alpha, eps) in enumerate(((1.0, 0.25), (0.5, 0.1), (4.0, 1.0))):
        beta = normal(6, seed=seed)
        W = as_tensor(answer(beta.clone(), alpha, eps))
        require(W.shape == (2, 6), f"W has two rows of D = 6 numbers; yours has the shape {tuple(W.shape)}.")
        w, M = statistics(W)
        A, B, C = (float(v) for v in test_loss(alpha * w, alpha * eps * M, beta))
        require(A + B + C < 1e-12, f"for alpha = {alpha:g}, eps = {eps:g} the test loss is {A + B + C:.3g}: "
                                   f"A = {A:.3g}, B = {B:.3g}, C = {C:.3g}.")
    return "test loss zero with two units: one for each sign of beta . x. Width is not what this task lacks."


@exercise(hints=("Every row moves by w_i <- T w_i - c v. Take the mean of both sides.",
                 "For M multiply out (T w_i - c v)(T w_i - c v)^T and take the mean: four terms.",
                 "w <- T w - c v;  M <- T M T - c (T w v^T + v (T w)^T) + c^2 v v^T."))
def one_step(answer):
    """answer(w, M, T, v, c) -> (w, M) after a step in which every row of W becomes T w_i - c v."""
    for seed in (0, 1):
        p, alpha, eps, eta0 = problem(D=5, P=12, N=7, seed=seed), 2.0, 0.3, 1.0
        W = full_batch_step(p.W0, p.X, p.y, alpha=alpha, eps=eps, eta0=eta0)
        e, c = output(p.W0, p.X, alpha, eps) - p.y, 2 * eta0 / (alpha * len(p.X))
        v, T = p.X.T @ e, torch.eye(5, dtype=T64) - c * eps * (p.X * e[:, None]).T @ p.X
        w, M = (as_tensor(part) for part in answer(p.w0.clone(), p.M0.clone(), T, v, c))
        true_w, true_M = statistics(W)
        require(w.shape == (5,) and M.shape == (5, 5), f"w must have shape (5,) and M (5, 5); yours have "
                                                       f"{tuple(w.shape)} and {tuple(M.shape)}.")
        off = float((w - true_w).norm() / (true_w - p.w0).norm())
        require(off < 1e-9, f"w misses the mean of the new weights by {off:.1%} of its step.")
        off = float((M - true_M).norm() / (true_M - p.M0).norm())
        require(off < 1e-9, f"w is right; M misses the mean square of the new weights by {off:.1%} of its step.")
    return "equal to a network of seven units after its step, to rounding. The width never entered."


@exercise(hints=("Write w_i = sigma w_i' with w_i' of size one, and put it into f.",
                 "f = alpha sigma (w'-mean . x) + alpha eps sigma^2 (x^T M' x) / 2: compare with f for sigma "
                 "= 1.",
                 "alpha' = alpha sigma, eps' = eps sigma."))
def same_start(answer):
    """answer(sigma, alpha, eps) -> (alpha', eps') with which weights of size 1 train like weights of size sigma."""
    for sigma, alpha, eps in ((2.0, 1.0, 0.2), (0.5, 2.0, 0.3)):
        alpha_1, eps_1 = (float(v) for v in answer(sigma, alpha, eps))
        require(alpha_1 > 0 and eps_1 > 0, f"both must be positive; you say {alpha_1:g} and {eps_1:g}.")
        kind = {"eta0": 0.5, "steps": 30}
        scaled = simulate(problem(D=6, P=15, N=8, sigma=sigma), alpha=alpha, eps=eps, **kind)["test"]
        plain = simulate(problem(D=6, P=15, N=8), alpha=alpha_1, eps=eps_1, **kind)["test"]
        off = float(abs(scaled - plain).max())
        require(off < 1e-9, f"for sigma = {sigma:g}, alpha = {alpha:g}, eps = {eps:g} your pair gives a test loss that "
                            f"differs by up to {off:.2g} in 30 steps.")
    return "the same test loss at every step. The product alpha eps, which sets V, has grown by sigma squared."


@exercise(hints=("Term C makes the hump. What makes the linear part learn much faster than the quadratic one?",
                 "The kernel's eigenvalues are 1/D and 2 eps²/D²: a small eps makes the second one tiny.",
                 "For example alpha = 4, eps = 0.03."))
def hump(answer):
    """answer: (alpha, eps) for which the test loss rises to 1.2 times its start within 300 steps."""
    alpha, eps = (float(v) for v in answer)
    require(0.25 <= alpha <= 64 and 0.02 <= eps <= 1, f"take alpha from 0.25 to 64 and eps from 0.02 to 1; you say "
                                                      f"{alpha:g} and {eps:g}.")
    most = max(float(r.max() / r[0]) for r in
               (simulate(problem(seed=s), alpha=alpha, eps=eps, eta0=2.5, steps=300)["test"] for s in (0, 1)))
    require(most >= 1.2, f"with alpha = {alpha:g}, eps = {eps:g} the test loss rises to {most:.2f} times its start.")
    return f"the test loss rises to {most:.2f} times its start: the network first learns something that is wrong."
