"""torchdiffeq's calls: its published test problems restated, and torchdiffeq itself beside ours."""
import functools
import time

import pytest
import torch
import torchdiffeq
from solvers.ode_truths import Y0, Field

import nde_lab.solvers as ours
from nde_lab.solvers import SolverError, odeint, odeint_adjoint

ADAPTIVE = ["dopri5", "tsit5", "bosh3", "adaptive_heun", "fehlberg2", "kvaerno3", "esdirk4"]
FIXED = ["euler", "midpoint", "heun2", "heun3", "rk4"]
INTERFACES = [odeint, odeint_adjoint]


class Constant(torch.nn.Module):
    """y' = a + (y - a t - b)^5: the line a t + b."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64))
        self.b = torch.nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, t, y):
        return self.a + (y - (self.a * t + self.b))**5

    def truth(self, t):
        return (self.a * t + self.b)[:, None]


class Sine(torch.nn.Module):
    """y' = 2 y / t + t^4 sin 2t - t^2 + 4 t^3."""

    def forward(self, t, y):
        return 2 * y / t + t**4 * torch.sin(2 * t) - t**2 + 4 * t**3

    def truth(self, t):
        y = (-0.5 * t**4 * torch.cos(2 * t) + 0.5 * t**3 * torch.sin(2 * t) + 0.25 * t**2 * torch.cos(2 * t)
             - t**3 + 2 * t**4 + (torch.pi - 0.25) * t**2)
        return y[:, None]


class Linear(torch.nn.Module):
    """y' = A y, A skew and a little more."""

    def __init__(self, dim=10):
        super().__init__()
        u = torch.randn(dim, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1
        self.a = torch.nn.Parameter(2 * u - (u + u.t()))
        self.start = torch.ones(dim, 1, dtype=torch.float64)

    def forward(self, t, y):
        return self.a @ y

    def truth(self, t):
        return torch.stack([torch.linalg.matrix_exp(self.a.detach() * (s - t[0])) @ self.start for s in t])


PROBLEMS = {"constant": Constant, "sine": Sine, "linear": Linear}


def setting(name, backward=False):
    f, t = PROBLEMS[name](), torch.linspace(1.0, 8.0, 10).double()
    with torch.no_grad():
        truth = f.truth(t)
    return (f, t.flip(0), truth.flip(0)) if backward else (f, t, truth)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("method", ["dopri5", "tsit5", "bosh3", "esdirk4"])
def test_their_problems(method, interface, problem, backward):
    f, t, truth = setting(problem, backward)
    tol = 1e-5 if method == "esdirk4" else 1e-7
    other = {"adjoint_method": "dopri5"} if interface is odeint_adjoint and method == "esdirk4" else {}
    y = interface(f, truth[0], t, method=method, rtol=tol, atol=tol, **other)
    assert y.shape == truth.shape and torch.equal(y[0], truth[0])
    assert ((y - truth).abs() / (1 + truth.abs())).max() < (2e-3 if method == "esdirk4" else 4e-4)


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_their_problems_with_fixed_steps(method, problem):
    f, t, truth = setting(problem)
    y = odeint(f, truth[0], t, method=method, options={"step_size": 0.01})
    bound = 0.1 if method == "euler" else 2e-3
    assert ((y - truth).abs() / (1 + truth.abs())).max() < bound


@pytest.mark.parametrize("problem", ["constant", "linear"])
@pytest.mark.parametrize("method", ["dopri5", "bosh3", "rk4", "midpoint"])
def test_their_gradient_checks(problem, method):
    """In the start and in every time."""
    f, t, truth = setting(problem)
    t = (1 + (t[:3] - 1) / 8).requires_grad_()
    y0 = truth[0][:2].clone().requires_grad_() if problem == "constant" else truth[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y, t: odeint(f, y, t, method=method, rtol=1e-7, atol=1e-7), (y0, t),
                                    atol=1e-4, fast_mode=True)


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "rk4"])
def test_the_adjoints_gradients_are_those_of_plain_backpropagation(method):
    f, options = Field(), {"step_size": 0.02} if method == "rk4" else None
    y0 = Y0.clone().requires_grad_()
    t = torch.tensor([0.0, 0.5, 1.2], dtype=torch.float64, requires_grad=True)

    def gradients(interface):
        y = interface(f, y0, t, method=method, rtol=1e-9, atol=1e-9, options=options)
        return torch.autograd.grad((y[1:] ** 3).sum(), (y0, t, *f.parameters()))
    for a, b in zip(gradients(odeint), gradients(odeint_adjoint), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


# Beside torchdiffeq

T = torch.tensor([0.0, 0.3, 1.0, 2.0], dtype=torch.float64)


@functools.cache
def exactly(seed):
    with torch.no_grad():
        return torchdiffeq.odeint(Field(scale=3.0, seed=seed), Y0, T, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("tol", [1e-3, 1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize("method", ["dopri5", "bosh3"])
def test_at_equal_tolerance_we_agree_and_evaluate_no_more_often(method, tol):
    """Over several fields: calls of f in all, and accuracy against a tight solve."""
    tol = max(tol, 1e-6) if method == "bosh3" else tol
    calls, errors = [0, 0], [0.0, 0.0]
    for seed in range(4):
        f, exact = Field(scale=3.0, seed=seed), exactly(seed)
        with torch.no_grad():
            for i, odeint_ in enumerate((odeint, torchdiffeq.odeint)):
                f.calls = 0
                y = odeint_(f, Y0, T, method=method, rtol=tol, atol=tol)
                calls[i] += f.calls
                errors[i] += float((y - exact).abs().max())
                torch.testing.assert_close(y, exact, rtol=2000 * tol, atol=2000 * tol)
    assert calls[0] <= calls[1]
    assert errors[0] <= 1.5 * errors[1]


def test_the_adjoint_agrees_and_evaluates_less_often():
    f, grads, calls = Field(scale=3.0), [], []
    for interface in (odeint_adjoint, torchdiffeq.odeint_adjoint):
        y0 = Y0.clone().requires_grad_()
        f.calls = 0
        y = interface(f, y0, T, rtol=1e-7, atol=1e-9)
        grads.append(torch.autograd.grad((y**2).sum(), (y0, *f.parameters())))
        calls.append(f.calls)
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert calls[0] <= calls[1]


STATES = {"scalar": torch.tensor(1.0), "vector": torch.ones(3), "image": torch.ones(2, 3, 4),
          "empty batch axis": torch.ones(1, 1), "tuple": (torch.tensor(1.0), torch.ones(2, 3)),
          "tuple of one": (torch.ones(2),), "complex": torch.tensor([1 + 2j, 0.5j])}


@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
@pytest.mark.parametrize("state", STATES)
def test_states_of_any_shape(state, interface):
    y0 = STATES[state]

    def f(t, y):
        assert t.dim() == 0
        if isinstance(y, tuple):
            assert [p.shape for p in y] == [p.shape for p in y0]
            return tuple(-p * t for p in y)
        assert y.shape == y0.shape and y.dtype == y0.dtype
        return -y * t
    keep = {} if interface == "odeint" else {"adjoint_params": ()}
    got, want = (getattr(lib, interface)(f, y0, torch.tensor([0.0, 0.5, 1.0]), rtol=1e-5, atol=1e-5, **keep)
                 for lib in (ours, torchdiffeq))
    assert type(got) is type(want)
    for a, b in zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]:
        assert a.shape == b.shape and a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_tolerances_of_their_kinds_and_one_time():
    y0, f = (torch.tensor(1.0), torch.ones(3)), lambda t, y: (-y[0], y[1])
    a = odeint(f, y0, torch.tensor([0.0, 1.0]), rtol=(1e-6, 1e-3),
               atol=(1e-6, torch.tensor([1e-3, 1e-4, 1e-5])))
    assert a[0][-1].item() == pytest.approx(0.367879, rel=1e-5)
    b = odeint(lambda t, y: y, Y0, torch.tensor([0.0, 1.0]).double(), rtol=torch.tensor([1e-3, 1e-6]),
               atol=1e-6)
    torch.testing.assert_close(b[-1], Y0 * torch.e, rtol=1e-2, atol=1e-2)
    assert torch.equal(odeint(lambda t, y: y, Y0, torch.tensor([1.0])), Y0[None])


@pytest.mark.parametrize("options", [dict(first_step=0.01), dict(max_step=0.05), dict(safety=0.7, ifactor=3.0),
                                     dict(dfactor=0.5, max_num_steps=500), dict(norm=lambda y: y.abs().max()),
                                     dict(dtype=torch.float64)], ids=lambda o: ",".join(o))
def test_options_of_adaptive_steps(options):
    f = Field()
    got, want = (odeint_(f, Y0, T, rtol=1e-8, atol=1e-8, method="dopri5", options=options)
                 for odeint_ in (odeint, torchdiffeq.odeint))
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_a_norm_of_a_tuple_gets_its_parts():
    f, seen = Field(), []
    odeint(lambda t, y: (f(t, y[0]), y[1]), (Y0, Y0[0]), T, method="dopri5",
           options=dict(norm=lambda y: seen.append(len(y)) or y[0].abs().max()))
    assert set(seen) == {2}


def test_a_failed_solve_raises_its_sentence():
    with pytest.raises(SolverError, match="Row 0 stalled at t = 1 .*grow without bound") as caught:
        odeint(lambda t, y: y * y, torch.ones(1).double(), torch.tensor([0.0, 2.0]).double())
    assert caught.value.status.row == 0
    with pytest.raises(SolverError, match="the next state is not finite"):
        odeint(lambda t, y: y**3, torch.ones(1) * 9, torch.linspace(0, 9, 10), method="euler")


@pytest.mark.parametrize("call, sentence", [
    (dict(method="dopri8"), "no method 'dopri8'; it is in torchdiffeq only; there are dopri5, bosh3"),
    (dict(method="rk99"), "no method 'rk99'; there are"),
    (dict(options={"jump_t": [1]}), "option 'jump_t' is not done"),
    (dict(options={"step_size": 0.1}), "option 'step_size' is not done here with method 'dopri5'"),
    (dict(method="rk4", options={"perturb": True}), "'perturb' is not done here"),
    (dict(method="rk4", options={"interp": "magic"}), "interp must be 'linear' or 'cubic'"),
    (dict(method="rk4", event_fn=lambda t, y: y.sum()), "needs options=.*step_size"),
    (dict(event_fn=lambda t, y: y.sum(), t=T), "with event_fn, t holds two times"),
    (dict(t=torch.tensor([0.0, 1.0, 1.0])), "ts must increase strictly"),
    (dict(t=[0.0, 1.0]), "t must be a 1-d float"),
    (dict(t=torch.tensor([0, 1])), "floating point tensor of times, got torch.int64"),
    (dict(y0=[1.0]), "y0 must be a tensor or a tuple of tensors, got list"),
    (dict(y0=torch.tensor([1])), "floating point or complex numbers of one dtype, got torch.int64"),
    (dict(rtol=(1e-3,)), "rtol given as a tuple needs one entry"), (dict(func=3), "func must be callable")])
def test_refusals(call, sentence):
    call = {"func": lambda t, y: y, "y0": Y0, "t": T[:2], **call}
    with pytest.raises(ValueError, match=sentence):
        odeint(call.pop("func"), call.pop("y0"), call.pop("t"), **call)


def test_refused_in_a_trace():
    from nde_lab.autodiff import trace
    with pytest.raises(ValueError, match="odeint looks at values.*there call integrate_ode"):
        trace(lambda y: odeint(lambda t, y: y, y, T), (Y0,))


def test_refusals_of_the_adjoint():
    with pytest.raises(ValueError, match="'adjoint' cannot see which tensors f uses"):
        odeint_adjoint(lambda t, y: y, Y0, T)
    with pytest.raises(ValueError, match="only 'seminorm'"):
        odeint_adjoint(Field(), Y0, T, adjoint_options={"norm": lambda y: 0})
    with pytest.raises(ValueError, match="give adjoint_options too"):
        odeint_adjoint(Field(), Y0, T, method="dopri5", options={"first_step": 0.1}, adjoint_method="bosh3")

    class Called(Field):
        def callback_step(self, t0, y0, dt):
            pass
    with pytest.raises(ValueError, match="callback_step of func is not called here"):
        odeint(Called(), Y0, T)


@pytest.mark.slow
@pytest.mark.parametrize("how", [dict(method="dopri5"), dict(method="rk4", options={"step_size": 1 / 32}),
                                 dict(method="euler")], ids=lambda how: how["method"])
def test_speed_beside_torchdiffeq(how):
    """Small problems, forward and gradient: never slower, by the least processor time of many turns."""
    for batch, state, width, tol in ((16, 2, 16, 1e-4), (128, 4, 32, 1e-6), (256, 8, 64, 1e-5)):
        g = torch.Generator().manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(state, width), torch.nn.Tanh(), torch.nn.Linear(width, state))
        y0 = torch.randn(batch, state, generator=g)
        t = torch.linspace(0, 1, 33 if how["method"] == "euler" else 2)
        best, field = {}, lambda t, y, net=net: net(y)
        for _ in range(15):
            for name, interface in (("odeint", odeint), ("theirs", torchdiffeq.odeint)):
                start = time.process_time()
                with torch.no_grad():
                    interface(field, y0, t, rtol=tol, atol=tol, **how)
                middle = time.process_time()
                interface(field, y0, t, rtol=tol, atol=tol, **how)[-1].square().sum().backward()
                took = (middle - start, time.process_time() - middle)
                best[name] = [min(pair) for pair in zip(best.get(name, took), took, strict=True)]
        assert best["odeint"][0] < best["theirs"][0] and best["odeint"][1] < best["theirs"][1], (batch, best)
