"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import torch
from exercise_laws import exercise_laws

from nde_lab.odes.neural_odes import exercises as check


def inverse(f, y, yh, mu, h):
    before = 2 * y - yh - h * mu
    return y - h / 2 * (f(before) + mu), before, f(before)


def pace(x):
    """The same polygon in another rhythm: the points between two corners move towards the second."""
    share = torch.tensor([0.0, 0.5, 0.7, 0.8, 0.9], dtype=x.dtype)[:, None]
    corners = x[::5]
    return torch.cat([*(a + share * (b - a) for a, b in zip(corners, corners[1:], strict=False)), x[-1:]])


RIGHT = [
    (check.best_error, lambda a, b: max(a - b, 0) ** 2 / 4),
    (check.step_back, lambda a, J, h: a + h * J.T @ a),
    (check.step_back, lambda a, J, h: (torch.eye(3, dtype=a.dtype) + h * J).T @ a),
    (check.undo, inverse),
    (check.memory_span, lambda lam: 17.4 / lam),
    (check.memory_span, lambda lam: 20 / lam),
    (check.same_end, lambda x: torch.cat([x[:1], x[:1], x[2:]])),
    (check.same_end, pace),
]
WRONG = [
    (check.best_error, lambda a, b: 1.0, r"for a = 2, b = -1 you say 1; the best of 45,000 .* has 2.25"),
    (check.best_error, lambda a, b: (a - b) ** 2 / 4, r"for a = -1, b = 2 you say 2.25; .* has 0"),
    (check.step_back, lambda a, J, h: a - h * J.T @ a, "wrong sign"),
    (check.step_back, lambda a, J, h: a + h * J @ a, r"is off by \S+ from finite differences\.$"),
    (check.step_back, lambda a, J, h: 1.0, r"you return shape \(\)"),
    (check.undo, lambda f, y, yh, mu, h: (y - h * mu, yh - h * mu, mu),
     "after 1 step back your state is off by"),
    (check.undo, lambda f, y, yh, mu, h: y, "return three tensors"),
    (check.memory_span, lambda lam: 10 / lam, "not yet at 1 either"),
    (check.memory_span, lambda lam: 40 / lam, "right but late: at 64 it is"),
    (check.same_end, lambda x: x, "is 0; make it differ by more than 0.1"),
    (check.same_end, lambda x: 2 * x, "three random CDEs end up to"),
    (check.same_end, lambda x: x[::2], r"x has shape \(26, 2\), yours \(13, 2\)"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
