"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import math
import re

import numpy as np
import pytest

from nde_lab.dynamics.scaling_laws_grokking import exercises as check

m = np.arange(11)


def unit(u, v):
    w = np.concatenate([u, v])
    return w / np.linalg.norm(w)


def waves(j, k):
    return unit(np.cos(2 * np.pi * j * m / 11), np.sin(2 * np.pi * k * m / 11))


def pair(c):
    return np.stack([np.r_[c, c], np.r_[c, -c]], 1), np.array([0.25, -0.25])


RIGHT = [
    (check.half_and_half, lambda M: M / 8),
    (check.two_units, pair),
    (check.two_units, lambda c: (2 * pair(c)[0][:, ::-1], [-1 / 16, 1 / 16])),
    (check.dead_weights, waves(1, 2)),
    (check.dead_weights, list(waves(5, 3))),
    (check.pairs_needed, lambda M: 2.7482 * M * math.log(M)),
    (check.three_levels, "S4"),
]
WRONG = [
    (check.half_and_half, lambda M: M / 4, "you say 1.75; such a vector has energy 0.875"),
    (check.half_and_half, lambda M: M / 16, "such a vector has energy"),
    (check.two_units, lambda c: (pair(c)[0], [0.5, -0.5]), "misses c"),
    (check.two_units, lambda c: (pair(c)[0].T, [0.25, -0.25]), "must have shape"),
    (check.dead_weights, waves(2, 2), "the energy is 2.75, not 0"),
    (check.dead_weights, 2 * waves(1, 2), "must be 1; yours is 4"),
    (check.dead_weights, unit(np.ones(11), -np.ones(11)), "must add up to 0"),
    (check.dead_weights, unit(np.cos(2 * np.pi * m / 11), 0 * m), "both halves must carry weight"),
    (check.dead_weights, np.zeros(11), "2M = 22"),
    (check.pairs_needed, lambda M: 2.7482 * math.log(M) / M, "of 289"),
    (check.pairs_needed, lambda M: M**2, "the line says"),
    (check.three_levels, "Z12", "Z12 has 2 levels: M/4, M/2"),
    (check.three_levels, "hello", "unknown group"),
]


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_right_answers_pass(exercise, answer):
    result = exercise(answer)
    assert result.passed, result


@pytest.mark.parametrize(("exercise", "answer", "says"), WRONG)
def test_usual_mistakes_are_named_with_what_was_measured(exercise, answer, says):
    result = exercise(answer)
    assert not result.passed and result.hint in exercise.hints
    assert re.search(says, result.says), result.says
