"""The exact adjoint of reversible Heun: the gradient of backpropagation, in memory that does not grow with
the steps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers.sde_truths import F64, Network, slope

from nde_lab.solvers import SDE, Brownian, Grid, as_sde, choose, sdeint_adjoint, solve_sde

NOISES = ("diagonal", "scalar", "additive", "general")


def network(noise="diagonal", seed=0):
    torch.manual_seed(seed)
    return Network(noise, "stratonovich")


def gradients(sde, y0, ts, gradient, *, params=None, **options):
    """Value, and gradients for y0 and the parameters (zero for those not used)."""
    y0 = y0.clone().requires_grad_()
    params = list(sde.parameters()) if params is None else params
    found = solve_sde(
        sde,
        y0,
        ts,
        method="reversible_heun",
        gradient=gradient,
        **({"params": params} if gradient == "adjoint" else {}),
        **options,
    )
    weights = torch.arange(1.0, len(ts) + 1, dtype=y0.dtype)[:, None, None]
    loss = (found.ys.square() * weights).sum() + (0.0 if found.path_kl is None else found.path_kl.sum())
    grads = torch.autograd.grad(loss, [y0, *params], allow_unused=True)
    return loss.detach(), [
        torch.zeros_like(p) if g is None else g for p, g in zip([y0, *params], grads, strict=True)
    ]


def distance(a, b):
    flat = lambda tensors: torch.cat([t.reshape(-1) for t in tensors])  # noqa: E731
    return float((flat(a) - flat(b)).norm() / flat(b).norm())


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_it_is_the_gradient_of_backpropagation(data):
    noise, steps = data.draw(st.sampled_from(NOISES)), data.draw(st.integers(1, 40))
    rows, seed = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 99))
    inner = sorted(data.draw(st.lists(st.floats(0.05, 0.95), max_size=3, unique_by=lambda t: round(t, 2))))
    dt = data.draw(st.sampled_from([1 / steps, 1.03 / steps]))  # dividing the interval, or not
    y0 = torch.randn(rows, 3, dtype=F64, generator=torch.Generator().manual_seed(seed))
    def run(kind):
        return gradients(network(noise, seed), y0, [0.0, *inner, 1.0], kind, dt=dt, seed=seed)

    (value, through), (same, undone) = run("through"), run("adjoint")
    assert torch.allclose(value, same, rtol=1e-13)  # not equal: a product of one row has its own kernel
    assert distance(undone, through) < 1e-12


@pytest.mark.parametrize("noise", NOISES)
def test_with_the_path_kl_and_with_float32(noise):
    sde, y0 = network(noise), torch.linspace(-1, 1, 12, dtype=F64).reshape(4, 3)
    run = lambda kind: gradients(sde, y0, [0.0, 0.5, 1.0], kind, dt=1 / 64, seed=1, logqp=True)  # noqa: E731
    (value, through), (same, undone) = run("through"), run("adjoint")
    assert torch.allclose(value, same, rtol=1e-13) and distance(undone, through) < 1e-12
    single, y0 = network(noise).float(), y0.float()
    run = lambda kind: gradients(single, y0, [0.0, 1.0], kind, dt=1 / 64, seed=1)[1]  # noqa: E731
    assert distance(run("adjoint"), run("through")) < 1e-4


def test_finite_differences_agree():
    path = Brownian.draw(Grid(0.0, 0.5, 6), (2, 2), seed=0, dtype=F64)

    def end(y0, a, b):
        sde = SDE(
            lambda t, y: torch.sin(a * y) - t * y, lambda t, y: b * torch.cos(y), "diagonal", "stratonovich"
        )
        return solve_sde(
            sde,
            y0,
            [0.0, 0.2, 0.5],
            path,
            method="reversible_heun",
            dt=0.5 / 6,
            gradient="adjoint",
            params=[a, b],
        ).ys[1:]

    inputs = (
        torch.tensor([[0.3, -0.8], [1.0, 0.1]], dtype=F64),
        torch.tensor([0.7, -1.3], dtype=F64),
        torch.tensor([0.4, 0.9], dtype=F64),
    )
    assert torch.autograd.gradcheck(end, [x.clone().requires_grad_() for x in inputs])


def test_it_goes_on_from_an_earlier_solve():
    sde, y0 = network("general"), torch.linspace(-1, 1, 6, dtype=F64).reshape(2, 3)
    path = Brownian.draw(Grid(0.0, 1.0, 16), (2, 2), seed=0, dtype=F64)
    parts = [
        Brownian(Grid(0.0, 0.5, 8), path.increments[:8]),
        Brownian(Grid(0.5, 1.0, 8), path.increments[8:]),
    ]

    def grads(kind, pieces):
        y, extra, x0 = None, (), y0.clone().requires_grad_()
        for i, bm in enumerate(pieces):
            ts = [bm.grid.t0, bm.grid.t1]
            y, extra = (
                sdeint_adjoint(
                    sde,
                    x0 if y is None else y[-1],
                    ts,
                    bm,
                    "reversible_heun",
                    dt=1 / 16,
                    extra=True,
                    extra_solver_state=extra or None,
                )
                if kind == "adjoint"
                else (lambda s: (s.ys, s.extra))(
                    solve_sde(
                        sde,
                        x0 if y is None else y[-1],
                        ts,
                        bm,
                        dt=1 / 16,
                        method="reversible_heun",
                        extra_solver_state=extra or None,
                    )
                )
            )
            assert len(extra) == 3 and i < 2
        return torch.autograd.grad(
            y[-1].square().sum() + extra[2].sum(), [x0, *list(sde.parameters())[:-1]], allow_unused=True
        )

    keep = lambda found: [g for g in found if g is not None]  # noqa: E731
    once = keep(grads("through", [path]))
    assert distance(keep(grads("adjoint", parts)), once) < 1e-12
    assert distance(keep(grads("through", parts)), once) < 1e-12


def test_a_step_is_undone():
    sde, scheme = network("general"), choose(SDE(None, None, "general", "stratonovich"), "reversible_heun")
    sde, y = as_sde(sde), torch.randn(4, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    path = Brownian.draw(Grid(0.0, 1.0, 50), (4, 2), seed=0, dtype=F64)
    with torch.no_grad():
        t = lambda k: torch.tensor(k / 50, dtype=F64)  # noqa: E731
        first = carry = scheme.start(sde, t(0), y)
        for k in range(50):
            carry = scheme.step(sde, t(k), carry, 0.02, path.increments[k])
        for k in range(50, 0, -1):
            carry = scheme.undo(sde, t(k), carry, 0.02, path.increments[k - 1])
    for a, b in zip(carry, first, strict=True):
        assert (a - b).abs().max() < 1e-13


# ---- what it cannot do

Y0 = torch.ones(2, 3, dtype=F64)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (
            lambda: solve_sde(network(), Y0, [0, 1], method="heun", dt=0.1, gradient="adjoint"),
            "only 'reversible_heun' .Stratonovich. allows, not 'heun'; or call sdeint_adjoint",
        ),
        (
            lambda: solve_sde(Network("diagonal", "ito"), Y0, [0, 1], dt=0.1, gradient="adjoint"),
            "'reversible_heun' converges to the Stratonovich solution",
        ),
        (
            lambda: solve_sde(
                SDE(lambda t, y: y, lambda t, y: y, "diagonal", "stratonovich"),
                Y0,
                [0, 1],
                dt=0.1,
                gradient="adjoint",
            ),
            "SDE is no nn.Module .*give params=",
        ),
        (
            lambda: solve_sde(network(), Y0, [0, 1], dt=0.1, adaptive=True, gradient="adjoint"),
            "undoes fixed steps",
        ),
        (
            lambda: solve_sde(network(), Y0, [0, 1], dt=0.1, gradient="backwards"),
            "one of through, adjoint, got 'backw",
        ),
        (
            lambda: solve_sde(
                network(),
                Y0,
                [0, 1],
                torch.zeros(10, 2, 3, dtype=F64, requires_grad=True),
                dt=0.1,
                gradient="adjoint",
            ),
            "no gradient with respect to the increments",
        ),
        (
            lambda: solve_sde(
                network(), Y0, [0, 1], dt=0.1, method="reversible_heun", extra_solver_state=(Y0,)
            ),
            r"holds tensors of shapes \[\(2, 3\), \(2, 3\), \(2, 3\)\], got \[\(2, 3\)\]",
        ),
        (lambda: sdeint_adjoint(SDE(lambda t, y: y, lambda t, y: y), Y0, [0, 1]), "SDE is no nn.Module"),
        (
            lambda: sdeint_adjoint(network(), Y0, [0, 1], steps=3),
            "sdeint_adjoint does not know the argument 'steps'",
        ),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_second_derivative_is_refused():
    y0 = Y0.clone().requires_grad_()
    end = solve_sde(network(), y0, [0, 1], dt=0.25, gradient="adjoint").ys[-1].square().sum()
    (grad,) = torch.autograd.grad(end, y0, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_a_failed_solve_says_so_and_has_no_gradient():
    sde = SDE(lambda t, y: y**3, lambda t, y: 0 * y, "diagonal", "stratonovich")
    y0 = torch.full((2, 1), 9.0, dtype=F64, requires_grad=True)
    found = solve_sde(
        sde, y0, [0.0, 0.1, 5.0], dt=0.1, method="reversible_heun", seed=0, gradient="adjoint", params=()
    )
    assert (
        found.status.kind == "diverged"
        and "Row 0 (and 1 other) stopped being finite" in found.status.sentence
    )
    assert not found.ys.requires_grad and found.ys.isfinite().all()


# ---- the scheme itself


def test_without_noise_it_is_of_order_two_and_unstable_for_decay():
    decay = SDE(lambda t, y: -y, lambda t, y: 0 * y, "diagonal", "stratonovich")
    run = lambda T, n: solve_sde(
        decay,
        torch.ones(1, 1, dtype=F64),
        torch.linspace(0, T, n + 1, dtype=F64),  # noqa: E731
        method="reversible_heun",
        dt=T / n,
        seed=0,
    ).ys[:, 0, 0]
    counts = (10, 20, 40, 80)
    assert slope(counts, [abs(run(1.0, n)[-1] - math.exp(-1)) for n in counts]) == pytest.approx(-2, abs=0.1)
    # The update of (y, z) has the eigenvalues q +- sqrt(1 + q^2), q = -0.1: the second grows, alternating.
    y = run(15.0, 150)
    assert float(y[50]) == pytest.approx(0.0059, abs=2e-4) and float(y[100]) == pytest.approx(-0.13, abs=0.01)
    assert float(y[150] / y[149]) == pytest.approx(-0.1 - math.sqrt(1.01), rel=1e-3)
