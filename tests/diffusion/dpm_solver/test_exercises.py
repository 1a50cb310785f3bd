"""The laws behind the chapter's exercises."""
import math

import torch
from exercise_laws import exercise_laws

from nde_lab.diffusion.dpm_solver import exercises as check


def held(x, eps, m, s, m2, s2):
    return m2 * (x - s * eps) / m + s2 * eps


def weight(h):
    return h / 2 * (1 + h / 3 * (1 + h / 4 * (1 + h / 5 * (1 + h / 6)))) if h < 0.02 else math.expm1(h) / h - 1


def mu(a, S, a2, S2):
    return 1 - S2 / S - a2 + a * S2 / S


def level(x, grid, c):
    v = c**2 + grid**2
    return torch.softmax(-0.5 * len(x) * torch.log(v) - x.square().sum() / (2 * v), 0)


def flat(x, grid, c):
    p = torch.exp(-x.square().sum() / (2 * (c**2 + grid**2)))
    return p / p.sum()


RIGHT = [(check.held_step, held), (check.held_step, lambda x, e, m, s, m2,
                                   s2: m2 / m * x + (s2 - m2 * s / m) * e),
         (check.order_of, lambda n1, e1, n2, e2: -math.log(e2 / e1) / math.log(n2 / n1)),
         (check.weight_of_change, weight), (check.mu_weight, mu),
         (check.mu_weight, lambda a, S, a2, S2: 1 - S2 / S - a2 * (1 - a * S2 / (a2 * S))),
         (check.level_given_x, level), (check.level_given_x, lambda x, grid, c: level(x, grid, c).tolist())]
WRONG = [(check.held_step, lambda x, e, m, s, m2, s2: m2 / m * x, "DPM-Solver-1 gets"),
         (check.held_step, lambda x, e, m, s, m2, s2: x + (s2 - s) * e, "DPM-Solver-1 gets"),
         (check.order_of, lambda n1, e1, n2, e2: math.log2(e1 / e2), "of order 2; you say 3.17"),
         (check.order_of, lambda n1, e1, n2, e2: e1 / e2, "of order 1; you say 2"),
         (check.weight_of_change, lambda h: (math.exp(h) - 1) / h - 1, "of it is wrong"),
         (check.weight_of_change, lambda h: math.expm1(h) / h - 1, "of it is wrong"),
         (check.mu_weight, lambda a, S, a2, S2: 1 - a2 / a, "you give μ the weight"),
         (check.level_given_x, lambda x, grid, c: level(x, grid, c)[:5], r"has shape \(5,\)"),
         (check.level_given_x, lambda x, grid, c: 2 * level(x, grid, c), "add up to 2, not 1"),
         (check.level_given_x, flat, "in 1 dimension.* you are off by")]
test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
