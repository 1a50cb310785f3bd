"""The adjoint of reversible Heun keeps no more for many steps than for few, and its cost is linear in them."""
import tracemalloc

import pytest
import torch
from solvers.sde_truths import F64, Network, slope

from nde_lab.solvers import ChunkedBrownian, Grid, solve_sde


def network():
    torch.manual_seed(0)
    return Network("diagonal", "stratonovich")


def adjoint(sde, y0, steps, **options):
    """The sum of the end, to be differentiated by the adjoint."""
    return solve_sde(sde, y0, [0.0, 1.0], method="reversible_heun", dt=1 / steps, gradient="adjoint",
                     params=list(sde.parameters()), **options).ys[-1].sum()


def saved_tensors(kind, steps, sde, y0):
    count = 0

    def pack(x):
        nonlocal count
        count += 1
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        solve_sde(sde, y0, [0.0, 1.0], method="reversible_heun", dt=1 / steps, seed=0, gradient=kind,
                  params=list(sde.parameters()))
    return count


def test_the_number_of_saved_tensors_does_not_grow():
    sde, y0 = network(), torch.ones(4, 3, dtype=F64, requires_grad=True)
    counts = (10, 20, 40, 80, 160)
    through = [saved_tensors("through", n, sde, y0) for n in counts]
    back = [saved_tensors("adjoint", n, sde, y0) for n in counts]
    assert len(set(back)) == 1 and back[0] <= 4 + len(list(sde.parameters()))
    assert slope(counts, through) == pytest.approx(1.0, abs=0.05)


def test_a_gradient_costs_one_evaluation_a_step_forwards_and_one_back():
    class Counted(Network):
        def f(self, t, y):
            nonlocal calls
            calls += 1
            return super().f(t, y)

    sde, y0, found = Counted("diagonal", "stratonovich"), torch.ones(4, 3, dtype=F64, requires_grad=True), []
    for steps in (1, 10, 160):
        calls = 0
        adjoint(sde, y0, steps, seed=0).backward()
        found.append(calls - 2 * steps)
    assert len(set(found)) == 1 and found[0] <= 3        # of the start, the end, and a look at the noise


def test_python_memory_is_flat_too():
    sde, y0 = network(), torch.ones(64, 3, dtype=F64, requires_grad=True)

    def peak(steps):
        bm = ChunkedBrownian(Grid(0.0, 1.0, steps), (64, 3), 0, F64, chunk=8)
        tracemalloc.start()
        adjoint(sde, y0, steps, bm=bm).backward()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(10)
    small, large = peak(40), peak(640)
    assert large - small < 600 * 400  # two lists of numbers and the clock, no states
