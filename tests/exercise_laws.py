"""The laws that every chapter's exercises obey, written once.

A chapter's test file lists right answers and wrong ones, with the words that the wrong ones must hear, and
takes its tests from here::

    from exercise_laws import exercise_laws

    RIGHT = [(check.double, lambda x: 2 * x), (check.double, lambda x: x + x)]
    WRONG = [(check.double, lambda x: x, "3 became 3")]           # the words are a regular expression
    test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
"""
from __future__ import annotations

import re

import pytest

from nde_lab.exercises import Exercise


def _ids(cases) -> list[str]:
    names = [case[0].name for case in cases]
    return [f"{name}-{names[:k].count(name)}" for k, name in enumerate(names)]


def exercise_laws(module, right, wrong):
    """Four tests: right answers pass; wrong ones hear what was measured; blanks cost nothing; none is left out.

    module: the chapter's ``exercises``; right: list of (exercise, answer); wrong: list of (exercise, answer,
    regular expression found in what the check says). Each test begins with no attempt made.
    """
    def fresh(exercise):
        exercise.failures = 0
        return exercise

    @pytest.mark.parametrize(("exercise", "answer"), right, ids=_ids(right))
    def right_answers_pass(exercise, answer):
        result = fresh(exercise)(answer)
        assert result.passed and result.says.endswith("."), result

    @pytest.mark.parametrize(("exercise", "answer", "says"), wrong, ids=_ids(wrong))
    def wrong_answers_are_told_what_was_measured_and_get_the_first_hint(exercise, answer, says):
        result = fresh(exercise)(answer)
        assert not result.passed and re.search(says, result.says), result
        assert "your code stopped" not in result.says and result.hint == exercise.hints[0]

    # A blank is what a reader finds: a function with nothing in it, or no value at all.
    blanks = [(e, (lambda *args, **named: None) if callable(a) else None) for e, a in dict(right).items()]

    @pytest.mark.parametrize(("exercise", "blank"), blanks, ids=_ids(blanks))
    def a_blank_gets_a_hint_and_costs_no_attempt(exercise, blank):
        result = fresh(exercise)(blank)
        assert result.verdict == "Not started" and result.hint == exercise.hints[0], result
        assert exercise.failures == 0

    def every_exercise_has_a_right_and_a_wrong_answer_here():
        every = {e.name for e in vars(module).values() if isinstance(e, Exercise)}
        assert every == {case[0].name for case in right} == {case[0].name for case in wrong}

    return (right_answers_pass, wrong_answers_are_told_what_was_measured_and_get_the_first_hint,
            a_blank_gets_a_hint_and_costs_no_attempt, every_exercise_has_a_right_and_a_wrong_answer_here)
