import math
import re

import pytest
import torch

from nde_lab.solvers import SDE, solve_sde

F64 = torch.float64
CUBIC = SDE(lambda t, y: -y**3, lambda t, y: 0.1 * torch.ones_like(y))


def test_a_failure_says_row_step_time_size_and_what_to_try():
    y0 = torch.full((10, 1), 0.1, dtype=F64)
    y0[7] = 20.0
    ts = [0.0, 0.1, 0.2, 5.0, 10.0]
    solution = solve_sde(CUBIC, y0, ts, method="euler", dt=0.1, seed=0)
    status = solution.status
    # By hand: |x| -> 0.1 |x|^3 from 20 runs 8e2, 5e7, 1e22, 1e65, 1e194, then overflows float64: step 6.
    assert (status.kind, status.row, status.step, status.time) == ("diverged", 7, 6, pytest.approx(0.6))
    assert solution.ok.tolist() == [row != 7 for row in range(10)]
    assert "Row 7 stopped being finite at t = 0.6 (step 6 of 100): |y| had reached" in status.sentence
    assert "halve dt (now 0.1), or try method='tamed_euler'" in status.sentence
    assert 1e190 < float(status.sentence.split("reached ")[1].split(" ")[0]) < 1e200
    # What is left is finite and ends before the failure; the healthy rows are those of a solve without row 7.
    assert solution.ts.tolist() == pytest.approx([0.0, 0.1, 0.2]) and solution.ys.shape == (3, 10, 1)
    assert solution.ys.isfinite().all() and not solution.ys.requires_grad


@pytest.mark.parametrize("late", [1, 31, 32, 33, 64, 100])
def test_the_failing_step_is_found_wherever_it_lies(late):
    n = 100
    dW = torch.zeros(n, 3, 1, dtype=F64)
    dW[late - 1, 1] = math.nan
    y0, ts = torch.ones(3, 1, dtype=F64), torch.linspace(0, 1, n + 1, dtype=F64)
    solution = solve_sde(CUBIC, y0, ts, dW, dt=1 / n)
    assert (solution.status.step, solution.status.row) == (late, 1)
    assert solution.status.time == pytest.approx(late / n) and solution.ts.shape == (late,)
    assert len(solution.ys) == late and solution.ys.isfinite().all()
    assert "The Brownian increment of this step is not finite; look at bm" in solution.status.sentence


def test_several_rows_at_once_are_counted():
    y0 = torch.tensor([[0.1], [30.0], [-30.0], [30.0]], dtype=torch.float32)
    solution = solve_sde(CUBIC, y0, [0.0, 10.0], method="euler", dt=0.1, seed=0)
    assert solution.status.row == 1 and "Row 1 (and 2 others) stopped" in solution.status.sentence
    assert solution.ok.tolist() == [True, False, False, False] and torch.equal(solution.ys, y0.unsqueeze(0))


@pytest.mark.parametrize("sde, method, sentence", [
    (SDE(lambda t, y: torch.log(y - 1), lambda t, y: torch.zeros_like(y)), "euler",
     "The drift itself is not finite there, at a state of ordinary size; look for a division, root, log"),
    (SDE(lambda t, y: torch.zeros_like(y), lambda t, y: torch.sqrt(0.5 - y)), "euler",
     "The diffusion itself is not finite there"),
    (SDE(lambda t, y: torch.zeros_like(y), lambda t, y: 20 * y**3), "euler",
     "One step of the noise was .* times .y.: the diffusion grows too fast.*grow at most linearly"),
    (SDE(lambda t, y: torch.zeros_like(y), lambda t, y: 20 * y**3), "tamed_euler",
     "One step of the noise was"),
    (SDE(lambda t, y: y**3, lambda t, y: torch.zeros_like(y), sde_type="stratonovich"), "heun",
     r"One step of the drift was .* times .y.: it grows too fast for this step; halve dt \(now 0.1\)\.$"),
    (SDE(lambda t, y: 9 * y, lambda t, y: torch.zeros_like(y)), "euler",
     "the equation itself may grow without bound; check the drift's sign, shorten the time interval"),
])
def test_the_reason_is_the_one_at_work(sde, method, sentence):
    y0 = torch.full((2, 1), 0.9, dtype=torch.float32)
    status = solve_sde(sde, y0, [0.0, 60.0], method=method, dt=0.1, seed=1).status
    assert status.kind == "diverged"
    assert re.search(sentence, status.sentence), status.sentence


def test_a_finished_solve_says_so():
    status = solve_sde(CUBIC, torch.ones(2, 1), [0.0, 1.0], method="euler", dt=0.1, seed=0).status
    assert status.sentence == "Finished: 10 steps of euler from t = 0 to 1."
    assert (status.kind, status.step, status.time, status.row) == ("finished", 10, 1.0, None)
