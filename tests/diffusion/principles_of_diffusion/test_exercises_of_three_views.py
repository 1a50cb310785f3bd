"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math

import torch
from exercise_laws import exercise_laws

from nde_lab.diffusion.principles_of_diffusion import exercises as check


def cosine(t):
    slope = math.pi * math.tan(math.pi * t / 2)
    return -slope / 2, slope


def back(x, x0, m_t, s_t, m_r, s_r):
    q = m_t / m_r
    b = s_t**2 - q**2 * s_r**2
    return (q * s_r**2 * x + m_r * b * x0) / s_t**2, b * s_r**2 / s_t**2


def by_precisions(x, x0, m_t, s_t, m_r, s_r):
    q = m_t / m_r
    b = s_t**2 - q**2 * s_r**2
    precision = 1 / s_r**2 + q**2 / b
    return torch.tensor([(m_r * x0 / s_r**2 + q * x / b) / precision]), 1 / precision


RIGHT = [
    (check.cosine_sde, cosine),
    (check.cosine_sde, lambda t: tuple(torch.tensor(v) for v in cosine(t))),
    (check.data_from_velocity, lambda x, v, t: x - t * v),
    (check.way_back, back),
    (check.way_back, by_precisions),
    (check.overshoot, (8.0, 3.0)),
    (check.overshoot, (7, 3)),
    (check.perfect_and_useless, lambda t, x: 0 * x),
    (check.perfect_and_useless, lambda t, x: torch.full_like(x, 7.0)),
]
WRONG = [
    (check.cosine_sde, lambda t: (-math.pi / 2 * math.sin(math.pi * t / 2), 1.0),
     "a = -0.2457; the slope of log m"),
    (check.cosine_sde, lambda t: (cosine(t)[0], math.pi * math.sin(math.pi * t)),
     "a is right, but at t = 0.1"),
    (check.data_from_velocity, lambda x, v, t: x - v, "off by up to"),
    (check.data_from_velocity, lambda x, v, t: 1.0, r"yours has \(\)"),
    (check.way_back, lambda x, x0, m_t, s_t, m_r, s_r: (0.0, s_r**2), "your variance is"),
    (check.way_back, lambda *a: (a[1], back(*a)[1]), "the variance is right; for VP"),
    (check.overshoot, (2.0, 1.0), "a difference of 0.57"),
    (check.overshoot, (20.0, 1.0), "take 0 ≤ w ≤ 8"),
    (check.perfect_and_useless, lambda t, x: x, "your consistency loss is"),
    (check.perfect_and_useless, lambda t, x: torch.zeros(3), r"yours has \(3,\)"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
