"""The chapter's exercises: right answers pass, typical mistakes are told what they are, blanks get a hint."""
import math

import torch
from exercise_laws import exercise_laws

from nde_lab.diffusion.score_sde import exercises as check

RIGHT = [
    (check.imputed_mean, lambda rho, y: y * (1 - (1 - rho**2)**0.5) / rho),
    (check.signal_left, lambda first, last: math.exp(-(first + last) / 4)),
    (check.drift_back, lambda x, score, a, g2, noise: -a * x + (1 + noise**2) / 2 * g2 * score),
    (check.corrector_width, lambda r: (1 - r * r)**-0.5),
    (check.probe_luck, ([[1.0, 1.0], [-1.0, 1.0]], [[1.0, 5.0], [5.0, 1.0]])),
    (check.probe_luck, (torch.tensor([[3.0, -2.0], [2.0, -1.0]]), torch.tensor([[2.0, -4.0], [-8.0, 0.0]]))),
]
WRONG = [
    (check.imputed_mean, lambda rho, y: rho * y, "You gave the true conditional mean"),
    (check.signal_left, lambda first, last: math.exp(-(first + last) / 2), r"you say .*m\(1\) = 0.00657"),
    (check.drift_back, lambda x, score, a, g2, noise: a * x - g2 * score, "VP at t = 0.4 with noise 0"),
    (check.drift_back, lambda x, score, a, g2, noise: -a * x + g2 * score / 2, "with noise 1"),
    (check.corrector_width, lambda r: 1.0, "with r = 0.16 you say 1.0000; after 2000 steps .* 1.0131"),
    (check.probe_luck, ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 5.0], [5.0, 1.0]]), "one of them is diagonal"),
    (check.probe_luck, ([[1.0, 1.0], [-1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]), "errs by at most 4; 10 is asked"),
    (check.probe_luck, ([[1.0, 1.0], [1.0, 1.0]], [[1.0, 5.0], [5.0, 1.0]]), "on A a probe errs by 2"),
    (check.probe_luck, ([[1.0, 1.0], [-1.0, 1.0]], [[9.0, 5.0], [5.0, 1.0]]), "traces are 2 and 10"),
    (check.probe_luck, ([[1.0]], [[1.0]]), "two 2 x 2 matrices"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
