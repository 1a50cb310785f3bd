"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math

import torch
from exercise_laws import exercise_laws

from nde_lab.sdes.brownian_motion import exercises as check

RIGHT = [
    (check.standstill, lambda g: math.sqrt(2 * g)),
    (check.midpoint, lambda left, right, h, xi: (left + right) / 2 + math.sqrt(h) / 2 * xi),
    (check.midpoint, lambda left, right, h, xi: left + (right - left) / 2 - (h / 4) ** 0.5 * xi),
    (check.exact_step, lambda x, a, s, h, xi: x * math.exp(-a * h)
     + s * math.sqrt((1 - math.exp(-2 * a * h)) / (2 * a)) * xi),
    (check.read_the_well, lambda p, s: -s**2 / 2 * p.log()),
    (check.read_the_well, lambda p, s: s**2 / 2 * (p.max() / p).log() + 7),
    (check.hot_spots, lambda x: torch.where(x < 0, 1.6, 0.5)),
    (check.hot_spots, lambda x: 1.1 - 0.75 * torch.tanh(4 * x)),
]
WRONG = [
    (check.standstill, lambda g: g, r"typical of 1000 simulated paths is multiplied by 1\.1"),
    (check.standstill, lambda g: -1.0, "without noise every path grows"),
    (check.standstill, lambda g: math.sqrt(g), r"γ = 0\.125 .* multiplied by 1\.06"),
    (check.midpoint, lambda left, right, h, xi: (left + right) / 2, "first half has the variance 0.25"),
    (check.midpoint, lambda left, right, h, xi: (left + right) / 2 + math.sqrt(h / 2) * xi, "variance 0.7"),
    (check.midpoint, lambda left, right, h, xi: left + math.sqrt(h / 2) * xi,
     r"second half has the variance 1\.[45]"),
    (check.midpoint, lambda left, right, h, xi: 0.0, "one value for each interval is due"),
    (check.exact_step, lambda x, a, s, h, xi: x - a * x * h + s * math.sqrt(h) * xi,
     r"standard deviation is 0\.319; 0\.301 is due"),
    (check.exact_step, lambda x, a, s, h, xi: x * math.exp(-a * h) + s * math.sqrt(h) * xi,
     r"standard deviation is 0\.3"),
    (check.read_the_well, lambda p, s: -p.log(), "misses the real one by"),
    (check.read_the_well, lambda p, s: s**2 / 2 * p.log(), "double well with σ = 0.7"),
    (check.read_the_well, lambda p, s: 0.0, r"shape \(\)"),
    (check.hot_spots, lambda x: 1 + 0 * x, r"(4[89]|5[012])% are in the right half"),
    (check.hot_spots, lambda x: torch.where(x < 0, 0.5, 1.6), r"\d\d?% are in the right half"),
    (check.hot_spots, lambda x: torch.where(x < 0, 9.0, 1.0), "between 0.3 and 2"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
