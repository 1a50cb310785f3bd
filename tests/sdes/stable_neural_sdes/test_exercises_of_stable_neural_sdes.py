"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math

import torch
from exercise_laws import exercise_laws

from nde_lab.sdes.stable_neural_sdes import exercises as check

RIGHT = [
    (check.doubling_sigma, lambda a: math.sqrt(2 * a + math.log(2))),
    (check.ito_sum, lambda W: (W[:-1] * (W[1:] - W[:-1])).sum()),
    (check.ito_sum, lambda W: float((W[-1] ** 2 - (W[1:] - W[:-1]).square().sum()) / 2)),
    (check.keep_sign, lambda z, gamma, sigma, dt, dW:
     z * torch.exp(gamma * dt + sigma * dW - sigma**2 * dt / 2)),
    (check.typical_and_mean, (1.0, 2.0, 5.0)),
    (check.typical_and_mean, (2, -3, 4)),
    (check.clipped_drift, lambda m: (0.0, 3.0 / m)),
    (check.clipped_drift, lambda m: (-2 / m, 2 / m)),
]
WRONG = [
    (check.doubling_sigma, lambda a: math.sqrt(2 * a),
     r"a = 0.5 your σ = 1 multiplies mean \|x\|² by (0.9|1.0)"),
    (check.doubling_sigma, lambda a: math.sqrt(2 * a + 2), "with a = 0.5 your σ = 1.73 multiplies mean"),
    (check.ito_sum, lambda W: (W[1:] * (W[1:] - W[:-1])).sum(), r"mean (0.9|1.0)\d; a fair game has mean 0"),
    (check.ito_sum, lambda W: (W[1:] + W[:-1]) @ (W[1:] - W[:-1]) / 2, r"mean 0.[45]\d; a fair game"),
    (check.ito_sum, lambda W: W**2 / 2, r"shape \(65,\); one number is due"),
    (check.ito_sum, lambda W: (W[-1] ** 2 - 1) / 2, "the identity .* fails by"),
    (check.keep_sign, lambda z, gamma, sigma, dt, dW: z + z * gamma * dt + z * sigma * dW,
     "each sign must stay"),
    (check.keep_sign, lambda z, gamma, sigma, dt, dW: z * torch.exp(gamma * dt + sigma * dW),
     r"mean after one unit of time is 1.5\d\d; the Ito equation asks for e\^γ = 1.350"),
    (check.keep_sign, lambda z, gamma, sigma, dt, dW: z * math.exp(gamma * dt), "ten steps of 0.2 miss"),
    (check.typical_and_mean, (1.0, 1.0, 2.0), r"is multiplied by e\^-2; it should grow"),
    (check.typical_and_mean, (1.0, 2.0, 2.0), r"only \d\d% of 4000 pairs"),
    (check.typical_and_mean, (-1.0, 2.0, 5.0), "must be positive"),
    (check.clipped_drift, lambda m: (0.0, 3.0), r"for m = 0.001 the pair \(0, 3\)"),
    (check.clipped_drift, lambda m: (1.0, 1.0), "take two different ones"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
