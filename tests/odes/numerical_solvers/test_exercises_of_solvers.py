"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math

from exercise_laws import exercise_laws

from nde_lab.odes.numerical_solvers import exercises as check


def heun(f, t, y, h):
    k1 = f(t, y)
    return y + h / 2 * (k1 + f(t + h, y + h * k1))


def midpoint(f, t, y, h):
    return y + h * f(t + h / 2, y + h / 2 * f(t, y))


def forgetful(f, t, y, h):
    k1 = f(t, y)
    return y + h / 2 * (k1 + f(t, y + h * k1))


RIGHT = [
    (check.largest_step, lambda rate: 2 / rate),
    (check.steps_needed, lambda e, n, p, w: math.ceil(n * (e / w) ** (1 / p))),
    (check.second_order, heun),
    (check.second_order, midpoint),
    (check.fool_the_solver, (6.0, 0.1)),
    (check.stratonovich_drift, lambda x, gamma, sigma: (gamma - sigma**2 / 2) * x),
]
WRONG = [
    (check.largest_step, lambda rate: 1 / rate, "it should grow"),
    (check.largest_step, lambda rate: -rate, "a step is positive"),
    (check.steps_needed, lambda e, n, p, w: n * e / w, "asks for 2190"),
    (check.second_order, forgetful, "order 1"),
    (check.fool_the_solver, (6.0, 1.0), "it saw the dose"),
    (check.fool_the_solver, (20.0, 0.1), "between t = 1 and t = 10"),
    (check.fool_the_solver, (6.0, 0.001), "between 0.01"),
    (check.stratonovich_drift, lambda x, gamma, sigma: gamma * x, r"e\^\(\+0.3"),
]

test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
