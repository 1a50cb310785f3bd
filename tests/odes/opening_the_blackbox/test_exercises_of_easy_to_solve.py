"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
from exercise_laws import exercise_laws

from nde_lab.odes.opening_the_blackbox import exercises as check

RIGHT = [
    (check.count_evaluations, lambda a, r: 1 + 6 * (a + r)),
    (check.error_penalty, lambda q, h, accept: (q * h.abs())[accept].sum()),
    (check.error_penalty, lambda q, h, accept: float((q * h.abs() * accept).sum())),
    (check.rescaled_penalty, lambda lam, old, new: lam * new / old),
    (check.settled, lambda C, T: (0.9**5 * T, T * (C / 0.9**5) ** 0.2)),
    (check.hidden_stiffness, (1.0, 0.0)),
    (check.hidden_stiffness, (-3, 0)),
]
WRONG = [
    (check.count_evaluations, lambda a, r: 7 * (a + r), r"called f 169 times; you say 196"),
    (check.count_evaluations, lambda a, r: 1 + 6 * a, r"called f 169 times; you say 115"),
    (check.error_penalty, lambda q, h, accept: (q * h.abs()).sum(), "with the rejected turns it would be just "
                                                                    "that"),
    (check.error_penalty, lambda q, h, accept: (q * h)[accept].sum(), r"backward in time you get -0\.3"),
    (check.rescaled_penalty, lambda lam, old, new: lam, "pulls 100 times as hard"),
    (check.rescaled_penalty, lambda lam, old, new: lam * old / new, r"pulls 1e\+04 times as hard"),
    (check.settled, lambda C, T: (T, T * (C / 0.9**5) ** 0.2), r"R_E is 0\.59\d, you say 1\.000"),
    (check.settled, lambda C, T: (0.9**5 * T, T * C**0.2), r"it takes \d+ steps, you say"),
    (check.hidden_stiffness, (1.0, 1.0), "it sees the fast rate"),
    (check.hidden_stiffness, (0.0, 0.0), "nothing moves"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
