"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math

import torch
from exercise_laws import exercise_laws

from nde_lab.sdes.neural_sdes import exercises as check


def bound(x, s, m, v):
    kl = (v + m**2 - 1 - math.log(v)) / 2
    return -0.5 * math.log(2 * math.pi * s**2) - ((x - m) ** 2 + v) / (2 * s**2) - kl


def undo(y1, z1, f1, g1, field, h, dW):
    z = 2 * y1 - z1 - f1 * h - g1 * dW
    f, g = field(z)
    return y1 - (f + f1) * h / 2 - (g + g1) * dW / 2, z


def euler_back(y1, z1, f1, g1, field, h, dW):
    return y1 - f1 * h - g1 * dW, 2 * y1 - z1 - f1 * h - g1 * dW


RIGHT = [
    (check.path_price, lambda c, sigma, T: c**2 * T / (2 * sigma**2)),
    (check.one_point_bound, bound),
    (check.undo_step, undo),
    (check.no_way_home, (4.0, 5.0)),
    (check.clipped_matrix, torch.ones(4, 1)),
    (check.clipped_matrix, [[0.5, 0.5]] * 8),
]
WRONG = [
    (check.path_price, lambda c, sigma, T: c * T / sigma, "the solver's path KL is 0.5"),
    (check.path_price, lambda c, sigma, T: c**2 * T / sigma**2, "you say 1; the solver's path KL is 0.5"),
    (check.one_point_bound, lambda x, s, m, v: bound(x, s, m, v) + (v + m**2) / 10, "must equal log p"),
    (check.one_point_bound, lambda x, s, m, v: bound(x, s, m, v) - v / (2 * s**2), "must equal log p"),
    (check.undo_step, euler_back, "z is right, but your y misses"),
    (check.undo_step, lambda y1, z1, f1, g1, field, h, dW: (y1, z1), "your z misses the shadow"),
    (check.no_way_home, (1.0, 1.0), "the start is found again up to"),
    (check.no_way_home, (-1.0, 1.0), "take 0 < λ ≤ 10"),
    (check.clipped_matrix, torch.ones(2, 2), "largest entry is 1; with 2 columns the clip is at 0.5"),
    (check.clipped_matrix, torch.eye(2) / 2, "Euclidean norm is 0.5"),
    (check.clipped_matrix, torch.ones(3), "a matrix has two axes"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
