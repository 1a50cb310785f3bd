"""Every claim of the chapter, and every exercise: right answers pass, wrong ones are told what was measured."""
import math

import pytest

from nde_lab.claims import claims
from nde_lab.odes.numerical_solvers import exercises as check

OURS = [c for c in claims(paper="on-neural-differential-equations")
        if c.function.__module__ == "nde_lab.odes.numerical_solvers.claims"]


@pytest.mark.parametrize("claim", OURS, ids=lambda c: c.name)
def test_claim_holds(claim):
    verdict = claim.function()
    assert verdict.holds, verdict


def test_there_are_six_quick_claims():
    assert len(OURS) == 6 and {c.cost for c in OURS} == {"quick"}


def heun(f, t, y, h):
    k1 = f(t, y)
    return y + h / 2 * (k1 + f(t + h, y + h * k1))


def forgetful(f, t, y, h):
    k1 = f(t, y)
    return y + h / 2 * (k1 + f(t, y + h * k1))


RIGHT = {"largest_step": lambda rate: 2 / rate,
         "steps_needed": lambda e, n, p, w: math.ceil(n * (e / w) ** (1 / p)),
         "second_order": heun, "fool_the_solver": (6.0, 0.1),
         "stratonovich_drift": lambda x, gamma, sigma: (gamma - sigma**2 / 2) * x}
WRONG = {"largest_step": (lambda rate: 1 / rate, "it should grow"),
         "steps_needed": (lambda e, n, p, w: n * e / w, "asks for 2190"),
         "second_order": (forgetful, "order 1"), "fool_the_solver": ((6.0, 1.0), "it saw the dose"),
         "stratonovich_drift": (lambda x, gamma, sigma: gamma * x, r"e\^\(\+0.3")}


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_pass(name):
    assert getattr(check, name)(RIGHT[name]).passed


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_hear_what_was_measured(name):
    import re
    answer, words = WRONG[name]
    result = getattr(check, name)(answer)
    assert not result.passed and re.search(words, result.says), result.says
    assert getattr(check, name)(RIGHT[name]).passed        # and the count of attempts is back at zero


@pytest.mark.parametrize(("answer", "words"), [((20.0, 0.1), "between t = 1 and t = 10"),
                                               ((6.0, 0.001), "between 0.01")])
def test_doses_out_of_range_are_refused(answer, words):
    assert words in check.fool_the_solver(answer).says
    check.fool_the_solver((6.0, 0.1))
