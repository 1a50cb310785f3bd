"""Three ways to a gradient, against each other and against finite differences."""
import pytest
import torch
from solvers.ode_truths import Y0, Field, circle

from nde_lab.autodiff import trace
from nde_lab.solvers import Event, SolverError, ode_vjp, solve_ode

TS = torch.tensor([0.0, 0.3, 0.35, 1.2, 2.0], dtype=torch.float64)
OWN = torch.stack([TS, TS + 0.1, -TS])
W = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def gradient(f, kind, ts=TS, **settings):
    y = Y0.clone().requires_grad_()
    s = solve_ode(f, y, ts, gradient=kind, **{"rtol": 1e-8, "atol": 1e-8, **settings})
    return torch.autograd.grad((s.ys * W).sum(), (y, *f.parameters()))


KINDS = ("through", "checkpoint", "adjoint")


@pytest.mark.parametrize("settings", [
    dict(), dict(ts=OWN), dict(method="tsit5", ts=OWN), dict(method="rk4", dt=0.02),
    dict(method="bosh3", rtol=1e-6), dict(method="rk4", dt=0.02, ts=OWN)], ids=lambda s: "-".join(map(str, s)))
def test_checkpoint_equals_through_and_the_adjoint_is_near(settings):
    f = Field(scale=3.0)
    through, checkpoint, adjoint = (gradient(f, kind, **settings) for kind in KINDS)
    for a, b, c in zip(through, checkpoint, adjoint, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(a, c, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kind", ["through", "checkpoint", "adjoint"])
def test_against_finite_differences(kind):
    """Tight tolerances: steps that move with the parameters change nothing visible."""
    f = Field()
    found = gradient(f, kind, rtol=1e-10, atol=1e-10)
    for g, p in zip(found[1:], f.parameters(), strict=True):
        d = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        values = []
        with torch.no_grad():
            for e in (1e-5, -2e-5):
                p += e * d
                values.append(float((solve_ode(f, Y0, TS, rtol=1e-10, atol=1e-10).ys * W).sum()))
            p += 1e-5 * d
        assert float((g * d).sum()) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("method", ["kvaerno3", "esdirk4"])
def test_implicit_steps(method):
    f = Field()
    tol = 1e-5 if method == "kvaerno3" else 1e-6
    through, checkpoint = (gradient(f, kind, method=method, rtol=tol, atol=tol) for kind in KINDS[:2])
    exact = gradient(f, "through")
    for a, b, c in zip(through, checkpoint, exact, strict=True):
        # Newton's iteration ends 100 times below the tolerance: so far may the first stages differ.
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(a, c, rtol=5e-3, atol=5e-3)


def test_the_adjoints_tolerance_is_its_own_and_the_error_follows_it():
    f = Field(scale=3.0)
    exact, errors = gradient(f, "through", rtol=1e-11, atol=1e-11), []
    for tol in (1e-3, 1e-5, 1e-7):
        found = gradient(f, "adjoint", rtol=1e-11, atol=1e-11, adjoint_rtol=tol, adjoint_atol=tol)
        errors.append(max(float((a - b).abs().max()) for a, b in zip(found, exact, strict=True)))
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    other = gradient(f, "adjoint", method="esdirk4", rtol=1e-6, atol=1e-6, adjoint_method="dopri5")
    torch.testing.assert_close(other[1], exact[1], rtol=1e-2, atol=1e-2)


def saved_numbers(kind, n):
    """Numbers kept for the backward pass of n steps of rk4."""
    f, count = Field(), [0]
    y = Y0.clone().requires_grad_()

    def pack(t):
        count[0] += t.numel()
        return t
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        solve_ode(f, y, [0.0, 1.0], method="rk4", dt=1 / n, gradient=kind)
    return count[0]


def test_memory():
    """Through: linear in the steps. The adjoint: not at all."""
    grow = {kind: [saved_numbers(kind, n) for n in (10, 40)] for kind in ("through", "adjoint", "checkpoint")}
    assert grow["through"][1] > 3.5 * grow["through"][0] > 100 * grow["adjoint"][0]
    assert grow["adjoint"][0] == grow["adjoint"][1]
    assert grow["checkpoint"][1] <= grow["through"][1] / 50


def test_parameters_given_and_those_of_a_function_without():
    p = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    for kind in ("checkpoint", "adjoint"):
        with pytest.raises(ValueError, match=f"gradient='{kind}' cannot see which tensors f uses: pass"):
            solve_ode(lambda t, y: p * y, Y0, [0.0, 1.0], gradient=kind)
        s = solve_ode(lambda t, y: p * y, Y0, [0.0, 1.0], gradient=kind, params=[p], rtol=1e-9, atol=1e-9)
        g, = torch.autograd.grad(s.ys[-1].sum(), p)
        torch.testing.assert_close(g, (Y0.sum() * torch.exp(p)).detach(), rtol=1e-7, atol=1e-7)
        with pytest.raises(ValueError, match="params must be tensors, got float"):
            solve_ode(lambda t, y: p * y, Y0, [0.0, 1.0], gradient=kind, params=[0.5])
    with pytest.raises(ValueError, match="needs an explicit method, not 'esdirk4': take gradient='checkpoint'"):
        solve_ode(circle, Y0, [0.0, 1.0], method="esdirk4", gradient="adjoint", params=())
    assert not solve_ode(circle, Y0, [0.0, 1.0], gradient="adjoint", params=()).ys.requires_grad


def test_an_adjoint_that_cannot_go_back_says_so():
    p = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    s = solve_ode(lambda t, y: -p * 1e4 * (y - 1), Y0, [0.0, 1.0], method="esdirk4", adjoint_method="dopri5",
                  gradient="adjoint", params=(p,), max_steps=300)
    with pytest.raises(SolverError, match="adjoint's solve back in time ended at t = .* in row 0.*checkpoint"):
        s.ys[-1].sum().backward()


@pytest.mark.parametrize("kind", ["checkpoint", "adjoint"])
def test_rows_that_end_early(kind):
    """An event in some rows, before some of the times."""
    f, far = Field(scale=3.0), Y0.square().sum(-1) + torch.tensor([2.0, 2.0, 50.0])
    event = Event(lambda t, y: y.square().sum(-1) - far)
    y = Y0.clone().requires_grad_()

    def loss(kind):
        s = solve_ode(f, y, TS, gradient=kind, event=event, rtol=1e-9, atol=1e-9)
        assert s.event_rows.tolist() == [True, True, False]
        return torch.autograd.grad((s.ys * W).sum() + s.event_t.sum(), (y, *f.parameters()))
    for a, b in zip(loss("through"), loss(kind), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_ode_vjp_both_ways_and_traced():
    f, a = Field(), torch.randn(3, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    t = torch.tensor(0.3, dtype=torch.float64)
    value, dy, dp = ode_vjp(f, t, Y0, list(f.parameters()), a)
    assert torch.equal(value, f(t, Y0)) and not value.requires_grad
    y = Y0.clone().requires_grad_()
    want = torch.autograd.grad((f(t, y) * a).sum(), (y, *f.parameters()))
    for g, w in zip((dy, *dp), want, strict=True):
        torch.testing.assert_close(g, w)

    def pure(t, y, p):
        return f.scale * torch.tanh(torch.cat([y, t.expand(len(y), 1)], -1) @ p["w"]) @ p["v"]
    p = {"w": f.w.detach(), "v": f.v.detach()}
    value2, dy2, dp2 = ode_vjp(pure, t, Y0, p, a)
    torch.testing.assert_close((value2, dy2, dp2["w"], dp2["v"]), (value, dy, dp[0], dp[1]))
    graph = trace(lambda p, y, a: ode_vjp(pure, t, y, p, a)[1], (p, Y0, a))
    torch.testing.assert_close(graph(p["w"], p["v"], Y0, a)[0], dy)
    value, dy, dp = ode_vjp(lambda t, y: torch.ones_like(y), t, Y0, [f.w], a)
    assert not dy.any() and not dp[0].any()
