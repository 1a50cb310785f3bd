"""``odeint`` with fixed steps: torchdiffeq's numbers, counts, times between steps, gradients, refusals."""
import pytest
import torch
import torchdiffeq
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers.ode_truths import Y0, Field

import nde_lab.solvers as ours
from nde_lab.solvers import TABLEAUS, odeint, solve_ode

FIXED = ["euler", "midpoint", "heun2", "heun3", "rk4"]
T = torch.tensor([0.0, 0.3, 1.0, 2.0], dtype=torch.float64)
close = torch.testing.assert_close


@pytest.mark.parametrize("t", [T, T.flip(0), T[:2]], ids=["forward", "backward", "two"])
@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("options", [None, {"step_size": 0.07}], ids=str)
def test_fixed_steps_are_theirs_to_rounding(method, t, options):
    f = Field()
    got, want = (lib.odeint(f, Y0, t, method=method, options=options) for lib in (ours, torchdiffeq))
    close(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [
    dict(grid_constructor=lambda f, y0, t: torch.linspace(float(t[0]), float(t[-1]), 31).double()),
    dict(step_size=0.07, interp="linear"), dict(step_size=0.07, interp="cubic")], ids=lambda o: "-".join(o))
def test_their_options(options):
    f = Field()
    got, want = (lib.odeint(f, Y0, T, method="rk4", options=options) for lib in (ours, torchdiffeq))
    close(got, want, rtol=1e-5, atol=1e-5)


@settings(max_examples=30)
@given(st.sampled_from(["euler", "midpoint", "heun"]), st.integers(1, 300),
       st.lists(st.floats(0.05, 0.95), max_size=4), st.booleans())
def test_the_bare_loop_and_the_march_agree(method, steps, inside, back):
    """At the ends and, by the method's dense output, between; times of more than 256 steps are made in lots."""
    times = torch.tensor([0.0, *sorted(set(inside)), 1.0], dtype=torch.float64)
    times = times.flip(0) if back else times
    f, dt = Field(), 1.0 / steps
    got = odeint(f, Y0, times, method=method, options={"step_size": dt, "interp": "cubic"})
    close(got, solve_ode(f, Y0, times, method=method, dt=dt).ys, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("steps", [1, 7, 300])
def test_f_is_called_once_a_stage_at_the_stage_times(method, steps):
    seen = []
    odeint(lambda t, y: seen.append(t) or -y, Y0, torch.tensor([1.0, 3.0]), method=method,
           options={"step_size": 2.0 / steps})
    c = {"euler": [0], "midpoint": [0, 1 / 2], "heun2": [0, 1], "heun3": [0, 1 / 3, 2 / 3],
         "rk4": [0, 1 / 3, 2 / 3, 1]}[method]
    due = [1 + 2 / steps * (n + share) for n in range(steps) for share in c]
    assert all(t.dim() == 0 and t.dtype == Y0.dtype for t in seen)
    close(torch.stack(seen), torch.tensor(due, dtype=torch.float64), rtol=1e-13, atol=0)


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("interp", ["linear", "cubic"])
def test_gradients_and_second_derivatives(method, interp):
    def end(y0, rate):
        return odeint(lambda t, y: -rate * y**2 * torch.cos(t), y0, T[:3], method=method,
                      options={"step_size": 0.4, "interp": interp})
    y0 = torch.tensor([0.7, -0.4], dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (y0, rate))
    assert torch.autograd.gradgradcheck(end, (y0, rate))


@pytest.mark.parametrize("y0", [torch.tensor(0.5), torch.ones(2, 3, 2), torch.tensor([1 + 1j, -2j]),
                                (torch.ones(2), torch.zeros(3, 1))], ids=["0-d", "3-d", "complex", "tuple"])
@pytest.mark.parametrize("options", [None, {"step_size": 0.03, "interp": "cubic"}], ids=["given", "own"])
def test_states_of_any_shape(y0, options):
    """Compared with the closed form of y' = -y, to the accuracy of the method."""
    def f(t, y):
        return tuple(-p for p in y) if isinstance(y, tuple) else -y
    t = torch.linspace(0, 1, 21)
    y = odeint(f, y0, t, method="rk4", options=options)
    for got, start in zip(*((v if isinstance(v, tuple) else (v,)) for v in (y, y0)), strict=True):
        assert got.dtype == start.dtype
        close(got, start * torch.exp(-t).reshape(-1, *[1] * start.dim()), rtol=2e-6, atol=1e-7)


def test_a_slope_of_another_layout_is_read_and_another_size_refused():
    y0, t = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0])
    close(odeint(lambda t, y: -y[:, None], y0, t, method="rk4"), odeint(lambda t, y: -y, y0, t, method="rk4"))
    with pytest.raises(ValueError, match=r"a slope for every number of y.*\(1, 3\), got shape \(1, 1\)"):
        odeint(lambda t, y: y.sum(), y0, t, method="rk4")


def test_tables_here_have_the_weights_that_the_loop_divides_by():
    """The bare loop keeps ratios to a row's first weight that is not zero: there is one in every row."""
    for table in TABLEAUS.values():
        assert all(any(row) for row in table.a[1:]) and any(table.b)


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("t", [T, T.flip(0)], ids=["forward", "backward"])
def test_the_adjoint_is_theirs_to_rounding(method, t):
    """State, adjoint and the parameters' integral by the same steps, leg by leg."""
    def gradients(lib):
        f, y0 = Field(), Y0.clone().requires_grad_()
        y = lib.odeint_adjoint(f, y0, t, method=method, options={"step_size": 0.07})
        return torch.autograd.grad((y ** 2).sum(), (y0, *f.parameters()))
    for got, want in zip(gradients(ours), gradients(torchdiffeq), strict=True):
        close(got, want, rtol=1e-11, atol=1e-11)


def test_an_adjoint_that_cannot_run_back_says_where():
    """A field with a hole that only the finer steps of the way back meet."""
    def f(t, y):
        return torch.where(t == 4.5, torch.nan, -0.1 * y)
    y = ours.odeint_adjoint(f, torch.ones(1, requires_grad=True), torch.tensor([0.0, 5.0]), method="euler",
                            adjoint_params=(), options={"step_size": 1.0}, adjoint_options={"step_size": 0.5})
    with pytest.raises(ours.SolverError, match=r"The adjoint's solve back .* ended at t = 4\.\d* in row 0"):
        y[-1].sum().backward()
