"""The five exercises of the chapter on the tangent kernel; ``check.half_life(my_answer)`` answers with a
hint."""
from __future__ import annotations

import math

import numpy as np
import torch

from nde_lab.dynamics.neural_tangent_kernel.limit import kernels
from nde_lab.dynamics.neural_tangent_kernel.network import Network
from nde_lab.exercises import exercise, normal, require

T64 = torch.float64


@exercise(hints=("Along this eigenvector each step multiplies the residual by the same number. Which?",
                 "After s steps the factor is (1 - lr lam)^s. Set it to 1/2 and take logarithms.",
                 "log(1/2) / log(1 - lr lam)."))
def half_life(answer):
    """answer(lam, lr) -> steps of gradient descent that halve the residual of eigenvalue lam (of K/N)."""
    for lam, lr in ((0.05, 1.0), (0.3, 1.0), (0.3, 2.5)):
        left = (1 - lr * lam) ** float(answer(lam, lr))
        require(abs(left - 0.5) < 1e-3, f"with λ = {lam:g} and rate {lr:g}, after your "
                                        f"{float(answer(lam, lr)):.4g} "
                                        f"steps {left:.3g} of the residual is left, not one half.")
    return "one half is left each time. A wave with a tenth of the eigenvalue waits about ten times as long."


@exercise(hints=("f depends on four sets of parameters. Add up, for each set, the product of the two "
                 "gradients.",
                 "The last layer gives h(x)·h(x')/n + β². The first: df/dz_j = W1_j relu'(z_j)/sqrt(n), times "
                 "what z_j "
                 "gets from its own weights.",
                 "h @ h.T / n + β² + (d @ d.T) * (X @ X.T / n0 + β²), with d = (z > 0) * W1 / sqrt(n)."))
def one_hidden_layer(answer):
    """answer(X, W0, b0, W1, b1, beta) -> Theta (N, N) of W1 relu(W0 x / sqrt(n0) + beta b0) / sqrt(n) + beta
    b1."""
    for seed, (n0, n, beta) in enumerate(((2, 5, 0.1), (3, 8, 0.0), (4, 6, 1.0))):
        X, net = normal(4, n0, seed=seed), Network(n0, n, 2)
        p = net.start(seed=seed, dtype=T64)
        true = net.kernel(p, X, None, beta)
        got = torch.as_tensor(answer(X, p["W0"], p["b0"], p["W1"], p["b1"], beta), dtype=T64)
        require(got.shape == (4, 4), f"for 4 points the kernel has shape (4, 4); yours has {tuple(got.shape)}.")
        off = float((got - true).abs().max())
        require(off < 1e-8, f"with n0 = {n0}, n = {n}, β = {beta:g} an entry is off by {off:.3g}; the largest "
                            f"entry is "
                            f"{float(true.abs().max()):.3g}.")
    return "equal to the Jacobian's product for three networks. No Jacobian was needed."


@exercise(hints=("With act(z) = z² and no bias, how does the kernel depend on x·x'?",
                 "Sigma_2 and Theta_2 contain (x·x')² only. What does a square not see?",
                 "The sign: x and -x."))
def twins(answer):
    """answer: two angles of points on the circle which a network with act(z) = z², L = 2, beta = 0 cannot tell
    apart."""
    pair = np.asarray(answer, dtype=float).reshape(-1)
    require(pair.shape == (2,), f"two angles are asked for, in radians; you gave {pair.size}.")
    x = torch.as_tensor(np.stack([np.cos(pair), np.sin(pair)], 1))
    gap = float((x[0] - x[1]).norm())
    require(gap > 0.1, f"the two points must lie apart; yours are {gap:.2g} from each other.")
    K = kernels(x, act="square", depth=2, beta=0.0)[1]
    lam = torch.linalg.eigvalsh(K)
    share = float(lam[0] / lam[1])
    require(share < 1e-6, f"the smaller eigenvalue of their kernel is {share:.3g} of the larger: with time "
                          f"the network "
                          "does tell them apart.")
    return "an eigenvalue is 0: whatever the targets, both points get the same output for ever."


@exercise(hints=("Products of sines and cosines are sums: sin u sin v = (cos(u - v) - cos(u + v)) / 2.",
                 "u - v is Gaussian of variance a + b - 2c, and E cos of a Gaussian of variance s is "
                 "exp(-s/2).",
                 "exp(-(a + b)/2) sinh(c), and the same with cosh for the cosines."))
def sine_layer(answer):
    """answer(a, b, c) -> (E[sin u sin v], E[cos u cos v]) for centred Gaussian (u, v): the recursion of act =
    sin."""
    z, w = np.polynomial.hermite_e.hermegauss(80)
    w = w / w.sum()
    for a, b, c in ((1.0, 1.0, 0.5), (0.7, 1.4, -0.6), (0.3, 0.3, 0.3)):
        u = math.sqrt(a) * z[:, None]
        v = c / math.sqrt(a) * z[:, None] + math.sqrt(max(b - c * c / a, 0.0)) * z[None]
        got = tuple(float(v) for v in answer(a, b, c))
        require(len(got) == 2, f"two numbers are asked for; you gave {len(got)}.")
        for name, f, said in (("sin u sin v", np.sin, got[0]), ("cos u cos v", np.cos, got[1])):
            true = float((w[:, None] * w[None] * f(u) * f(v)).sum())
            require(abs(said - true) < 1e-6, f"with a = {a:g}, b = {b:g}, c = {c:g} the mean of {name} is "
                                             f"{true:.4g}; "
                                             f"you say {said:.4g}.")
    return "both means agree with quadrature. You have made a limit kernel that the library does not have."


@exercise(hints=("After time t the flow has learned the share 1 - q of what the label says, with q = exp(-lam "
                 "t).",
                 "The mean squared error is s² q² + τ² (1 - q)²: too little signal, too much noise. Minimise "
                 "over q.",
                 "q = τ² / (s² + τ²), so t = log(1 + s²/τ²) / lam."))
def best_stop(answer):
    """answer(lam, s, tau) -> the time at which gradient flow should stop along one eigenvector: the label is s
    plus
    noise of standard deviation tau, the start is 0."""
    for lam, s, tau in ((0.1, 1.0, 0.5), (0.02, 1.0, 2.0), (0.5, 3.0, 0.1)):
        def error(t, lam=lam, s=s, tau=tau):
            q = math.exp(-lam * t)
            return s * s * q * q + tau * tau * (1 - q) ** 2
        t, best = float(answer(lam, s, tau)), s * s * tau * tau / (s * s + tau * tau)
        require(t >= 0 and error(t) < best * (1 + 1e-6) + 1e-12,
                f"with λ = {lam:g}, s = {s:g}, τ = {tau:g} stopping at {t:.4g} leaves a mean squared error of "
                f"{error(max(t, 0.0)):.4g}; {best:.4g} can be had.")
    return "the least error each time. The noisier the label the earlier; the smaller the eigenvalue the later."
