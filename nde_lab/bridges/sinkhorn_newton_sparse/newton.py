"""Sinkhorn first, sparse Newton steps then: the paper's method (SNS), in float64.

Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil, Xiao, Ying, "Accelerating Sinkhorn algorithm with sparse
Newton iterations", ICLR 2024, arXiv 2401.12253, section 3. Their eta is our 1 / eps.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nde_lab.bridges.entropic import checked, ended, log_plan, marginal_error, sweeps_at
from nde_lab.status import Status

ARMIJO = 1e-4
HALVINGS = 40
FINE = 1e-30             # entries of P below this share of its mass cannot be told from none


@dataclass(frozen=True)
class Solution:
    """A plan and how both stages found it.

    plan (n, m); x, y potentials; value: C . P; error: |P 1 - r|_1 + |P^T 1 - c|_1; sweeps and steps: Sinkhorn
    sweeps and Newton steps taken; evaluations: trial points of the line searches; products: products with the
    sparse matrix in all conjugate gradient solves; errors: the error after each sweep and step; kept: fraction
    of the plan's mass in the kept entries, for each Newton step; status: "finished" (converged) or "stopped",
    with a sentence.
    """
    plan: np.ndarray
    x: np.ndarray
    y: np.ndarray
    eps: float
    value: float
    error: float
    sweeps: int
    steps: int
    evaluations: int
    products: int
    status: Status
    errors: np.ndarray = field(repr=False)
    kept: np.ndarray = field(repr=False)

    @property
    def iterations(self) -> int:
        """Sweeps and Newton steps together, as the paper counts."""
        return self.sweeps + self.steps

    @property
    def converged(self) -> bool:
        return self.status.kind == "finished"


def potential(C, r, c, eps: float, x, y) -> float:
    """The concave function that both stages climb, f(x, y) = -eps sum P + r . x + c . y (the paper's eq. 3)."""
    with np.errstate(over="ignore"):
        return float(-eps * np.exp(log_plan(C, x, y, eps)).sum() + r @ x + c @ y)


def gradient(P: np.ndarray, r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Gradient of f: what is missing in each row, then in each column, (n + m,)."""
    return np.concatenate([r - P.sum(1), c - P.sum(0)])


def hessian(P: np.ndarray, eps: float) -> np.ndarray:
    """H = minus the Hessian of f, dense, (n + m, n + m): positive semidefinite, H (1, -1) = 0."""
    return np.block([[np.diag(P.sum(1)), P], [P.T, np.diag(P.sum(0))]]) / eps


def largest(P: np.ndarray, count: int) -> np.ndarray:
    """Flat places of the ``count`` largest entries (ties at the threshold: some of them)."""
    if count >= P.size:
        return np.arange(P.size)
    return np.argpartition(P, P.size - count, axis=None)[P.size - count:]


def sparsified(P: np.ndarray, count: int):
    """The off-diagonal block that is kept, ``count`` entries of P, as a ``scipy.sparse.csr_array`` (n, m)."""
    from scipy.sparse import csr_array
    where = largest(P, count)
    i, j = np.divmod(where, P.shape[1])
    return csr_array((P.reshape(-1)[where], (i, j)), shape=P.shape)


def direction(P: np.ndarray, count: int, g: np.ndarray, eps: float, *, tolerance: float,
              limit: int = 2000) -> tuple[np.ndarray, int, float]:
    """Solve M d = g by conjugate gradients from zero; M is H with all of P but its ``count`` largest entries
    set to zero and both diagonals exact (algorithm 1 of the paper). Returns d, products used, fraction of mass
    kept.

    The solve runs on D^-1/2 M D^-1/2, D the diagonal: with that scaling all eigenvalues lie in [0, 2].
    """
    from scipy.sparse import block_array
    from scipy.sparse.linalg import LinearOperator, cg
    S = sparsified(P, count)
    root = 1 / np.sqrt(np.concatenate([P.sum(1), P.sum(0)]) / eps)
    B = block_array([[None, S], [S.T, None]], format="csr")
    B.data = B.data / eps * np.repeat(root, np.diff(B.indptr)) * root[B.indices]
    used = 0

    def scaled(v):
        nonlocal used
        used += 1
        return v + B @ v
    operator = LinearOperator(B.shape, matvec=scaled, dtype=float)
    # H (1, -1) = 0: what rounding leaves of that direction in g would grow.
    null = np.repeat([1.0, -1.0], P.shape) / root
    rhs = root * g
    rhs = rhs - null * (null @ rhs) / (null @ null)
    z, _ = cg(operator, rhs, rtol=tolerance, atol=0.0, maxiter=limit)
    return root * z, used, float(S.data.sum() / P.sum())


def trial(C, x, y, eps: float, P: np.ndarray, g: np.ndarray, d: np.ndarray,
          alpha: float) -> tuple[float, np.ndarray]:
    """f(z + alpha d) - f(z) and the plan at z + alpha d. The first is not finite where the step overflows.

    The gain is alpha g . d - eps sum P (exp(w) - 1 - w), w = alpha (dx_i + dy_j) / eps, written so that nothing
    cancels where P has weight: near the top f changes in digits that f itself does not have.
    """
    n = len(x)
    dx, dy = alpha * d[:n], alpha * d[n:]
    with np.errstate(over="ignore", invalid="ignore"):
        new = np.exp(log_plan(C, x + dx, y + dy, eps))
        i, j = np.nonzero(P > FINE * P.sum())
        here, w = P[i, j], (dx[i] + dy[j]) / eps
        beyond = here @ np.where(np.abs(w) < 1e-3, 0.5 * w * w * (1 + w / 3 + w * w / 12), np.expm1(w) - w)
        rest = new.copy()                       # elsewhere only what the step itself makes heavy counts
        rest[i, j] = 0.0
        return float(alpha * (g @ d) - eps * (beyond + rest.sum())), new


def sinkhorn_newton_sparse(cost, r=None, c=None, eps: float = 0.01, *, keep: float = 6, sweeps: int = 20,
                           tolerance: float = 1e-11, max_steps: int = 100,
                           cg_tolerance: float = 1e-12) -> Solution:
    """The entropic plan by ``sweeps`` Sinkhorn sweeps and then sparse Newton steps.

    cost, r, c, eps  as in ``entropic.sinkhorn``, but every mass must be above 0
    keep             entries of P that stay in the Hessian, per row on average (the paper's lambda n)
    sweeps           the paper's N1, at least 1
    tolerance        stop when |P 1 - r|_1 + |P^T 1 - c|_1 is no larger (also during the sweeps)
    max_steps        Newton steps at most; status "stopped" if they were too few
    cg_tolerance     relative residual of each conjugate gradient solve

    Raises ValueError for input that ``entropic.checked`` refuses, for masses of 0 and numbers out of range.
    """
    C, r, c, eps = checked(cost, r, c, eps)
    if min(r.min(), c.min()) == 0:
        raise ValueError("Newton's step divides by the masses, so all must be above 0; leave out the points "
                         "without "
                         "mass")
    if not (keep > 0 and sweeps >= 1 and max_steps >= 0 and tolerance > 0 and cg_tolerance > 0):
        raise ValueError("keep, tolerance and cg_tolerance must be above 0, sweeps at least 1, max_steps at "
                         "least "
                         f"0; got {keep}, {tolerance}, {cg_tolerance}, {sweeps}, {max_steps}")
    n, m = C.shape
    count = min(max(1, round(keep * n)), C.size)
    x, y, errors, kept = np.zeros(n), np.zeros(m), [], []
    evaluations = products = steps = 0
    x, y = sweeps_at(C, r, c, eps, x, y, tolerance, sweeps, errors)
    P = np.exp(log_plan(C, x, y, eps))
    taken, stuck = len(errors), False
    while errors[-1] > tolerance and steps < max_steps and not stuck:
        g = gradient(P, r, c)
        d, used, mass = direction(P, count, g, eps, tolerance=cg_tolerance)
        alpha, slope, products = 1.0, float(g @ d), products + used
        for _ in range(HALVINGS):
            evaluations += 1
            better, new = trial(C, x, y, eps, P, g, d, alpha)
            if np.isfinite(better) and better >= ARMIJO * alpha * slope:
                break
            alpha /= 2
        else:
            stuck = True                                # rounding, not the step, decides from here on
            break
        x, y, P, steps = x + alpha * d[:n], y + alpha * d[n:], new, steps + 1
        errors.append(marginal_error(P, r, c))
        kept.append(mass)
    status = ended(errors[-1], tolerance, len(errors), "iterations", eps)
    if stuck:
        status = Status("stopped", "stopped: no step along the Newton direction gains anything at marginal "
                                   "error "
                                   f"{errors[-1]:.1e}; take a larger tolerance, more sweeps or a larger eps",
                        len(errors))
    return Solution(P, x, y, eps, float((C * P).sum()), errors[-1], taken, steps, evaluations, products, status,
                    np.array(errors), np.array(kept))
