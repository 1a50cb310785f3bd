import math

import pytest
import torch
import torchsde
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers.sde_truths import F64, Geometric, Rotation, additive

from nde_lab.solvers import SDE, Brownian, Grid, SolverError, sdeint, solve_sde

OU = SDE(lambda t, y: -y, lambda t, y: torch.ones_like(y))
MATCHING = [("ito", "euler"), ("ito", "milstein"), ("ito", "tamed_euler"), ("stratonovich", "milstein"),
            ("stratonovich", "heun"), ("ito", "srk"), ("stratonovich", "midpoint"),
            ("stratonovich", "reversible_heun")]


def points(rows=5, size=2, dtype=F64):
    return torch.linspace(-0.5, 1.0, rows * size, dtype=dtype).reshape(rows, size)


# ---- agreement with torchsde
# -------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, method, noise", [
    (kind, method, noise) for kind, method in MATCHING
    for noise in ("diagonal", "scalar", "general", "additive")
    if method != "tamed_euler" and (method, noise) not in (("milstein", "general"), ("srk", "general"))])
@pytest.mark.parametrize("dt, ts", [(0.0625, [0.0, 0.5, 1.0]), (0.1, [0.0, 0.33, 0.7, 1.0]),
                                    (0.3, [0.0, 0.5, 1.0])])
def test_the_same_numbers_as_torchsde(kind, method, noise, dt, ts):
    sde = additive(kind) if noise == "additive" else Geometric(kind, noise)
    channels = {"scalar": 1, "additive": 3}.get(noise, 2)
    path = Brownian.draw(Grid.covering(ts, dt), (5, channels), seed=2, dtype=F64)
    ours = sdeint(sde, points(), ts, path, method, dt)
    theirs = torchsde.sdeint(sde, points(), torch.tensor(ts, dtype=F64), bm=path, method=method, dt=dt)
    assert ours.shape == theirs.shape == (len(ts), 5, 2)
    assert (ours - theirs).abs().max() < 1e-10


@pytest.mark.parametrize("kind, method", [("ito", "euler"), ("ito", "milstein"), ("stratonovich", "heun")])
def test_torchsdes_brownian_interval_serves_here(kind, method):
    def interval():
        return torchsde.BrownianInterval(0.0, 1.0, size=(5, 2), dtype=F64, entropy=7, dt=0.0625)
    sde, ts = Geometric(kind), torch.tensor([0.0, 1.0], dtype=F64)
    ours = sdeint(sde, points(), ts, interval(), method, dt=0.0625)
    theirs = torchsde.sdeint(sde, points(), ts, bm=interval(), method=method, dt=0.0625)
    assert (ours - theirs).abs().max() < 1e-10


# ---- what is returned
# --------------------------------------------------------------------------------------------

@settings(max_examples=60)
@given(st.data())
def test_any_shape_any_times_any_scheme(data):
    kind, method = data.draw(st.sampled_from(MATCHING))
    noise = data.draw(st.sampled_from(["diagonal", "scalar", "general"] if method not in ("milstein", "srk")
                                      else ["diagonal", "scalar"]))
    rows, size = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    gaps = data.draw(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4))
    t0 = data.draw(st.floats(-2, 2))
    ts = [t0 + sum(gaps[:i]) for i in range(len(gaps) + 1)]
    dt = data.draw(st.floats(0.03, 2.0))
    dtype = data.draw(st.sampled_from([torch.float32, F64]))
    y0 = points(rows, size, dtype)
    seed = data.draw(st.integers(0, 9))
    solution = solve_sde(Geometric(kind, noise, sigma=0.3), y0, ts, method=method, dt=dt, seed=seed)
    assert solution.status.kind == "finished" and solution.ok.all()
    assert solution.ys.shape == (len(ts), rows, size) and solution.ys.dtype == dtype
    assert solution.ts.tolist() == pytest.approx(ts, rel=1e-5, abs=1e-5)
    assert torch.equal(solution.ys[0], y0) and solution.ys.isfinite().all()
    assert solution.stats["steps"] == Grid.covering(ts, dt).steps
    per_step = {"heun": 2, "midpoint": 2, "srk": 3}.get(method, 1)
    started = int(method == "reversible_heun")
    assert solution.stats["drift_evaluations"] == solution.stats["steps"] * per_step + started


def test_states_at_grid_times_are_the_steps_and_between_them_a_straight_line():
    path = Brownian.draw(Grid(0.0, 1.0, 4), (5, 2), seed=0, dtype=F64)
    all_steps = sdeint(OU, points(), [0.0, 0.25, 0.5, 0.75, 1.0], path, dt=0.25)
    some = sdeint(OU, points(), [0.0, 0.3, 0.4, 0.75, 1.0], path, dt=0.25)
    assert torch.equal(some[3:], all_steps[3:])
    assert torch.allclose(some[1], all_steps[1] + 0.2 * (all_steps[2] - all_steps[1]))
    assert torch.allclose(some[2], all_steps[1] + 0.6 * (all_steps[2] - all_steps[1]))


def test_a_row_does_not_depend_on_its_company():
    path = Brownian.draw(Grid(0.0, 1.0, 40), (5, 1), seed=0, dtype=F64)
    together = sdeint(Rotation(), points(), [0.0, 1.0], path, "milstein", dt=0.025)
    for row in range(5):
        y0, dW = points()[row:row + 1], path.increments[:, row:row + 1]
        alone = sdeint(Rotation(), y0, [0.0, 1.0], dW, "milstein", dt=0.025)
        assert torch.allclose(together[:, row], alone[:, 0], rtol=1e-12)


def test_a_finer_path_is_coarsened_to_the_step():
    path = Brownian.draw(Grid(0.0, 1.0, 40), (5, 2), seed=0, dtype=F64)
    assert torch.equal(sdeint(OU, points(), [0.0, 1.0], path, "euler", dt=0.1),
                       sdeint(OU, points(), [0.0, 1.0], path.coarsen(4).increments, dt=0.1))
    assert torch.equal(sdeint(OU, points(), [0.0, 1.0], path, "srk", dt=0.1),
                       sdeint(OU, points(), [0.0, 1.0], path.coarsen(4), dt=0.1))


def test_seeds():
    run = lambda **k: sdeint(OU, points(), [0.0, 1.0], dt=0.1, **k)  # noqa: E731
    assert torch.equal(run(seed=4), run(seed=4)) and not torch.equal(run(seed=4), run(seed=5))
    torch.manual_seed(1)
    first, second = run(), run()
    torch.manual_seed(1)
    assert torch.equal(first, run()) and not torch.equal(first, second)


def test_moments_of_the_ornstein_uhlenbeck_process():
    end = sdeint(OU, torch.full((20_000, 1), 2.0), [0.0, 1.0], method="euler", dt=0.02, seed=0)[-1].double()
    h, n = 0.02, 50                                # Euler's own moments, so that only sampling error remains
    mean, var = 2 * (1 - h) ** n, h * (1 - (1 - h) ** (2 * n)) / (1 - (1 - h) ** 2)
    assert end.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(var / 20_000))
    assert end.var().item() == pytest.approx(var, rel=0.04)


@pytest.mark.parametrize("kind, method", MATCHING)
def test_gradients_against_finite_differences(kind, method):
    path = Brownian.draw(Grid(0.0, 0.5, 5), (2, 2), seed=0, dtype=F64)

    def end(y0, a, b, dW):
        sde = SDE(lambda t, y: torch.sin(a * y) - t * y, lambda t, y: b * torch.cos(y), "diagonal", kind)
        bm = Brownian(path.grid, dW, path.areas) if method == "srk" else dW
        return sdeint(sde, y0, [0.0, 0.5], bm, method, dt=0.1)[-1]
    inputs = (points(2), torch.tensor([0.7, -1.3], dtype=F64), torch.tensor([0.4, 0.9], dtype=F64),
              path.increments)
    assert torch.autograd.gradcheck(end, [x.clone().requires_grad_() for x in inputs])


# ---- what is refused
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options, sentence", [
    ({"options": {"step": 1}}, r"options may hold grad_free, got \['step'\]"),
    ({"adjoint_method": "euler"}, "'adjoint_method'; the adjoint's arguments are those of sdeint_adjoint"),
    ({"extra_solver_state": (torch.zeros(5, 2),), "method": "euler"}, r"of method 'euler' holds .* \(none\), "
                                                                      r"got"),
    ({"stepsize": 0.1}, "sdeint does not know the argument 'stepsize'"),
    ({"dt": 0.0}, "dt must be a positive step length, got 0"),
    ({"dt": -0.1}, "dt must be a positive step length, got -0.1"),
    ({"ts": [1.0, 0.0]}, "ts must increase strictly"),
    ({"seed": -1}, "a seed is an integer"),
    ({"y0": torch.zeros(3)}, r"y0 must be a tensor of shape \(B, D\), one row per path, got shape \(3,\)"),
    ({"y0": [[0.0]]}, "got list"),
    ({"y0": torch.zeros(0, 2)}, r"got shape \(0, 2\)"),
    ({"y0": torch.zeros(3, 2, dtype=torch.int64)}, "floating point numbers, got torch.int64"),
    ({"y0": torch.tensor([[0.0], [math.nan]])}, "y0 is not finite in row 1"),
    ({"bm": torch.zeros(9, 5, 2, dtype=F64)}, r"\(steps, B, m\) = \(10, 5, 2\), got \(9, 5, 2\)"),
    ({"bm": torch.zeros(10, 5, 2)}, "bm holds torch.float32 and y0 torch.float64"),
    ({"bm": torch.zeros(10, 5, 2, dtype=F64), "seed": 0}, "either bm or seed, not both"),
    ({"bm": 3}, "bm must be None, increments .* got int"),
    ({"bm": Brownian.draw(Grid(0.0, 1.0, 10), (5, 3), seed=0, dtype=F64)},
     r"\(B, m\) = \(5, 2\) for this SDE"),
    ({"bm": Brownian.draw(Grid(0.0, 1.0, 16), (5, 2), seed=0, dtype=F64)},
     "known at 16 steps.*Use dt=0.0625"),
])
def test_refusals(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        sdeint(**({"sde": OU, "y0": points(), "ts": [0.0, 1.0], "dt": 0.1} | options))


def test_a_failed_solve_raises_the_status_sentence():
    cubic = SDE(lambda t, y: -y**3, lambda t, y: torch.ones_like(y))
    y0 = torch.tensor([[0.1], [50.0]], dtype=F64)
    status = solve_sde(cubic, y0, [0.0, 10.0], dt=0.1, seed=0).status
    with pytest.raises(SolverError) as caught:
        sdeint(cubic, y0, [0.0, 10.0], dt=0.1, seed=0)
    assert str(caught.value) == status.sentence and caught.value.status == status
