"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math

import numpy as np
from exercise_laws import exercise_laws

from nde_lab.bridges.entropic import lse
from nde_lab.bridges.sinkhorn_newton_sparse import exercises as check


def row_update(C, y, r, eps):
    L = (y - C) / eps - 1
    top = L.max(1)
    return eps * (np.log(r) - top - np.log(np.exp(L - top[:, None]).sum(1)))


RIGHT = [
    (check.two_by_two, lambda eps: 0.5 / (1 + math.exp(-1 / eps))),
    (check.row_update, row_update),
    (check.row_update, lambda C, y, r, eps: eps * (np.log(r) + 1 - lse((y - C) / eps, 1))),
    (check.free_direction, lambda n, m: [1] * n + [-1] * m),
    (check.free_direction, lambda n, m: np.r_[-2 * np.ones(n), 2 * np.ones(m)]),
    (check.false_diagonals, lambda n: n),
    (check.sweeps_per_digit, lambda eps: math.log(0.1) / (2 * math.log(math.tanh(0.5 / eps)))),
]
WRONG = [
    (check.two_by_two, lambda eps: 1 / (1 + math.exp(-1 / eps)), "Sinkhorn finds"),
    (check.two_by_two, lambda eps: 0.5 / (1 + math.exp(-2 / eps)), "Sinkhorn finds"),
    (check.row_update, lambda C, y, r, eps: eps * (np.log(r) + 1 - np.log(np.exp((y - C) / eps).sum(1))),
     "not finite"),
    (check.row_update, lambda C, y, r, eps: row_update(C, y, 0 * r + 1, eps), "misses log r"),
    (check.row_update, lambda C, y, r, eps: y, "a number for each of the 4 sources"),
    (check.free_direction, lambda n, m: np.ones(n + m), "to one with an entry"),
    (check.free_direction, lambda n, m: np.zeros(n + m), "find another"),
    (check.free_direction, lambda n, m: [1, -1], "has 6 entries"),
    (check.false_diagonals, lambda n: 1, "the eigenvalues say 2"),
    (check.sweeps_per_digit, lambda eps: math.log(0.1) / math.log(math.tanh(0.5 / eps)), "Sinkhorn takes"),
]
test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
