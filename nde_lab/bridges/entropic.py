"""Entropic optimal transport by Sinkhorn's scaling, in float64 and in the log domain: the part's common tool.

    coupling = sinkhorn(cost, r, c, eps=0.01)
    coupling.plan, coupling.x, coupling.y, coupling.error, coupling.status.sentence

The problem, for a cost C (n, m) and masses r (n,), c (m,): the plan P >= 0 with row sums r and column sums c
that makes C . P + eps sum P log P least. Its solution is P = exp((x_i + y_j - C_ij) / eps - 1) with potentials
x, y in the units of the cost (the pair is free up to a constant that moves from one to the other).

Sources: Cuturi 2013, "Sinkhorn distances"; the stabilised kernel and the annealing of eps are in Schmitzer
2019, "Stabilized sparse scaling algorithms for entropy regularized transport problems".
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nde_lab.status import Status

ABSORB = 50.0           # scalings beyond exp(50) go into the potentials, and the kernel is made anew
NOTHING = -300.0         # exp(-300) stays nothing under any scaling up to exp(50)
CLIP = 1e300            # an exponent stays finite for any eps > 0


@dataclass(frozen=True)
class Coupling:
    """A plan and how it was found.

    plan (n, m), its columns add up to c exactly (to rounding); x (n,), y (m,) potentials in units of the cost,
    -inf where a mass is 0; value: C . P; error: |P 1 - r|_1 + |P^T 1 - c|_1; iterations: Sinkhorn sweeps (rows,
    then columns); errors: the error after each sweep; status: kind "finished" (converged) or "stopped", with a
    sentence.
    """
    plan: np.ndarray
    x: np.ndarray
    y: np.ndarray
    eps: float
    value: float
    error: float
    iterations: int
    status: Status
    errors: np.ndarray = field(repr=False)

    @property
    def converged(self) -> bool:
        return self.status.kind == "finished"


def checked(cost, r=None, c=None, eps=1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The problem as float64 arrays: cost (n, m), r (n,), c (m,) (None: uniform), eps.

    ValueError for an empty or non-finite cost, masses of another shape, negative masses, totals that differ
    from each other by more than 1e-9 of their size, and eps that is not a positive number.
    """
    C = np.asarray(cost, dtype=float)
    if C.ndim != 2 or 0 in C.shape:
        raise ValueError("a cost is a matrix with a row for each source and a column for each target, at "
                         "least one "
                         f"of each; got shape {C.shape}")
    if not np.isfinite(C).all():
        raise ValueError("every cost must be a finite number; give a forbidden pair a large one")
    masses = []
    for name, given, n in (("r", r, C.shape[0]), ("c", c, C.shape[1])):
        mass = np.full(n, 1 / n) if given is None else np.asarray(given, dtype=float)
        if mass.shape != (n,):
            raise ValueError(f"{name} has shape {mass.shape}, but the cost {C.shape} asks for ({n},)")
        if not np.isfinite(mass).all() or mass.min() < 0 or mass.sum() <= 0:
            raise ValueError(f"masses are numbers >= 0, some above 0; {name} has least {mass.min():g} and "
                             "total "
                             f"{mass.sum():g}")
        masses.append(mass)
    r, c = masses
    if abs(r.sum() - c.sum()) > 1e-9 * r.sum():
        raise ValueError(f"as much mass must arrive as leaves: r adds up to {r.sum():.10g}, c to "
                         f"{c.sum():.10g}; "
                         "divide each by its total")
    if not (np.isfinite(eps) and eps > 0):
        raise ValueError(f"eps, the strength of the regularisation, is a number above 0, got {eps}")
    return C, r, c * (r.sum() / c.sum()), float(eps)


def lse(L: np.ndarray, axis: int) -> np.ndarray:
    """log of the sum of exp(L) along ``axis``, without overflow."""
    top = L.max(axis=axis, keepdims=True)
    return np.log(np.exp(L - top).sum(axis=axis)) + top.squeeze(axis)


def log_plan(C: np.ndarray, x: np.ndarray, y: np.ndarray, eps: float) -> np.ndarray:
    """log P = (x_i + y_j - C_ij) / eps - 1, cut off at +-1e300: (n, m)."""
    with np.errstate(over="ignore"):
        return np.clip((x[:, None] + y - C) / eps, -CLIP, CLIP) - 1


def marginal_error(P: np.ndarray, r: np.ndarray, c: np.ndarray) -> float:
    """|P 1 - r|_1 + |P^T 1 - c|_1."""
    return float(np.abs(P.sum(1) - r).sum() + np.abs(P.sum(0) - c).sum())


def sinkhorn(cost, r=None, c=None, eps: float = 0.05, *, tolerance: float = 1e-9, max_sweeps: int = 100_000,
             anneal: bool = True) -> Coupling:
    """The entropic plan by Sinkhorn sweeps.

    cost        (n, m), any finite numbers (numpy or torch)
    r, c        masses (n,), (m,), >= 0, equal totals; None: uniform, total 1
    eps         strength of the entropy, in units of the cost
    tolerance   stop when |P 1 - r|_1 + |P^T 1 - c|_1 is no larger
    max_sweeps  stop there in any case, with status "stopped"
    anneal      begin with a strong regularisation and halve it down to eps; its sweeps count. False: plain
                Sinkhorn from x = y = 0

    A sweep costs two products with a matrix. Large scalings are absorbed into the potentials by a log-sum-exp
    sweep, so nothing overflows for any eps, and no NaN appears. Raises ValueError as ``checked`` does.
    """
    C, r, c, eps = checked(cost, r, c, eps)
    if not tolerance > 0 or max_sweeps < 1:
        raise ValueError(f"tolerance must be above 0 and max_sweeps at least 1, got {tolerance} and "
                         f"{max_sweeps}")
    rows, columns = r > 0, c > 0                    # a point without mass has no part in the problem
    inner = C[np.ix_(rows, columns)]
    x, y, errors = np.zeros(rows.sum()), np.zeros(columns.sum()), []
    for level in _levels(inner, eps) if anneal else []:
        budget = min(len(errors) + 50, max_sweeps - 1)
        x, y = sweeps_at(inner, r[rows], c[columns], level, x, y, 0.01 * r.sum(), budget, errors)
    x, y = sweeps_at(inner, r[rows], c[columns], eps, x, y, tolerance, max_sweeps, errors)
    L = log_plan(inner, x, y, eps)
    y = y + eps * (np.log(c[columns]) - lse(L, 0))
    plan, full_x, full_y = np.zeros(C.shape), np.full(len(r), -np.inf), np.full(len(c), -np.inf)
    plan[np.ix_(rows, columns)] = np.exp(L - lse(L, 0)) * c[columns]
    full_x[rows], full_y[columns] = x, y
    error = marginal_error(plan, r, c)
    return Coupling(plan, full_x, full_y, eps, float((C * plan).sum()), error, len(errors),
                    ended(error, tolerance, len(errors), "sweeps", eps), np.array(errors))


def ended(error: float, tolerance: float, count: int, what: str, eps: float) -> Status:
    """How a solve ended, in one sentence."""
    if error <= 1.01 * tolerance:
        return Status("finished", f"converged: marginal error {error:.1e} after {count} {what}", count)
    return Status("stopped", f"stopped: marginal error {error:.1e} after {count} {what} is above the tolerance "
                             f"{tolerance:g}; allow more {what}, or a larger eps than {eps:g}", count)


def _levels(C: np.ndarray, eps: float) -> list[float]:
    """The larger values of eps on the way down, each half of the one before."""
    levels, level = [], 2 * eps
    while level < np.ptp(C) and len(levels) < 60:
        levels.append(level)
        level *= 2
    return levels[::-1]


def sweeps_at(C, r, c, eps, x, y, tolerance, budget, errors) -> tuple[np.ndarray, np.ndarray]:
    """Sweeps of a checked problem with masses above 0 at one eps, from potentials x and y; returns new ones.

    Until the error is within ``tolerance`` or the list ``errors``, to which each sweep adds its own, has
    ``budget`` entries; at least one sweep if any is left.
    """
    while len(errors) < budget:
        # One sweep by log-sum-exp; it leaves columns that add up to c, so exp(L) <= max(c).
        x = x + eps * (np.log(r) - lse(log_plan(C, x, y, eps), 1))
        L = log_plan(C, x, y, eps)
        shift = np.log(c) - lse(L, 0)
        y, L = y + eps * shift, L + shift
        K = np.where(L > NOTHING, np.exp(L), 0.0)   # numbers near the smallest ones make products slow
        u, v = np.ones(len(r)), np.ones(len(c))
        row_sums = K.sum(1)
        errors.append(float(np.abs(row_sums - r).sum()))
        while errors[-1] > tolerance and len(errors) < budget:
            with np.errstate(all="ignore"):
                new_u = r / row_sums                # u K v = r ...
                new_v = c / (new_u @ K)             # ... then columns
                size = np.abs(np.log(np.concatenate([new_u, new_v]))).max()
            if not size < ABSORB:                   # also when it is NaN
                break
            u, v = new_u, new_v
            row_sums = K @ v
            errors.append(float(np.abs(u * row_sums - r).sum()))
        x, y = x + eps * np.log(u), y + eps * np.log(v)
        if errors[-1] <= tolerance:
            break
    return x, y
