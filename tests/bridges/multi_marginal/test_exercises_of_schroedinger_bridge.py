"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math

import torch
from exercise_laws import exercise_laws

from nde_lab.bridges.multi_marginal import exercises as check


def drift(x, t, y, log_v, sigma):
    weights = torch.softmax(log_v - (x[:, None] - y)**2 / (2 * sigma**2 * (1 - t)), 1)
    return (weights @ y - x) / (1 - t)


def by_hand(x, t, y, log_v, sigma):
    w = torch.exp(log_v - (x[:, None] - y)**2 / (2 * sigma**2 * (1 - t)))
    return sigma**2 * (w * (y - x[:, None]) / (sigma**2 * (1 - t))).sum(1) / w.sum(1)


RIGHT = [
    (check.halfway, lambda s: 0.5 + math.sqrt(4 + s**4) / 4),
    (check.half_step, lambda K, u, b: b - torch.logsumexp(u[:, None] + K, 0)),
    (check.bridge_drift, drift),
    (check.bridge_drift, by_hand),
    (check.turn_round, lambda f, s, x, t, sigma: sigma**2 * s(x, t) - f(x, t)),
    (check.same_snapshots, lambda f, s, x, t, sigma: f(x, t) - sigma**2 / 2 * s(x, t)),
]
WRONG = [
    (check.halfway, lambda s: 1.0, "at σ = 1 you say 1.0000|at σ = 0.1 you say"),
    (check.halfway, lambda s: 0.5 + s**2 / 4, "at σ = 0.1 you say 0.5025; the bridge's variance there is 1.0000"),
    (check.half_step, lambda K, u, b: b - torch.log(torch.exp(u[:, None] + K).sum(0) * 0), "not finite"),
    (check.half_step, lambda K, u, b: b - torch.logsumexp(K, 0), "the columns add up to"),
    (check.half_step, lambda K, u, b: -torch.logsumexp(u[:, None] + K, 1), r"yours has \(6,\)"),
    (check.bridge_drift, lambda x, t, y, v, s: drift(x, t, y, 0 * v, s), "your drift is off by up to"),
    (check.bridge_drift, lambda x, t, y, v, s: drift(x, t, y, v, s) * s**2, "σ = 0.5, t = 0"),
    (check.turn_round, lambda f, s, x, t, sigma: -f(x, t), "your f- is off"),
    (check.turn_round, lambda f, s, x, t, sigma: sigma**2 * s(x, 1 - t) - f(x, 1 - t), "at σ = 0.7 and t = 0.2"),
    (check.same_snapshots, lambda f, s, x, t, sigma: f(x, t), "your motion has mean"),
    (check.same_snapshots, lambda f, s, x, t, sigma: f(x, t) - sigma**2 * s(x, t), "standard deviation"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
