"""Right answers pass however written; usual mistakes hear what was measured."""
import math

import numpy as np
import torch
from exercise_laws import exercise_laws

from nde_lab.dynamics.deep_linear import exercises as check


def step(a, b, s, lr):
    error = s - a * b
    return a + lr * error * b, b + lr * error * a


def one_after_the_other(a, b, s, lr):
    a = a + lr * (s - a * b) * b
    return a, b + lr * (s - a * b) * a


partly = np.diag([math.sqrt(2), 0.0])
RIGHT = [
    (check.half_time, lambda s, u0: math.log(s / u0 - 1) / (2 * s)),
    (check.half_time, lambda s, u0: 0.5 / s * (math.log(s - u0) - math.log(u0))),
    (check.two_numbers, step),
    (check.animals_and_plants, math.sqrt(7)),
    (check.animals_and_plants, 2.6458),
    (check.edge, lambda s, N: 2 / (N * s ** (2 - 2 / N))),
    (check.saddle, (partly, partly)),
    (check.saddle, (torch.diag(torch.tensor([0.0, 1.0])), torch.diag(torch.tensor([0.0, 1.0])))),
    (check.saddle, (-partly, -partly)),
]
WRONG = [
    (check.half_time, lambda s, u0: math.log(s / u0) / s, "the sigmoid passes s/2 at 3.453"),
    (check.half_time, lambda s, u0: 1 / s, "you say 1; the"),
    (check.two_numbers, one_after_the_other, "due is"),
    (check.two_numbers, lambda a, b, s, lr: (a - lr * (s - a * b) * b, b - lr * (s - a * b) * a), "not to"),
    (check.two_numbers, lambda a, b, s, lr: a, "return two numbers"),
    (check.animals_and_plants, 7.0, "7 is s²"),
    (check.animals_and_plants, 15**0.5, r"the table \(15, 8\)"),
    (check.edge, lambda s, N: 1 / (N * s ** (2 - 2 / N)), "even 3 % more than your rate"),
    (check.edge, lambda s, N: 2 / s, "still throws the network off"),
    (check.edge, lambda s, N: -1.0, "a learning rate is above 0"),
    (check.saddle, (np.zeros((2, 2)), np.zeros((2, 2))), "All|all weights are 0"),
    (check.saddle, (np.diag([2.0, 1.0]), np.eye(2)), "the loss is 0"),
    (check.saddle, (np.eye(2), np.eye(2)), "largest entry of a gradient is 1"),
    (check.saddle, (np.zeros((2, 3)), np.eye(2)), "both matrices are 2 x 2"),
    (check.saddle, partly, "give two matrices"),
    (check.saddle, (np.diag([2.0, 0.0]), np.diag([1.0, 0.0])), "not balanced"),
]
test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
