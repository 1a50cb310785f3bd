"""torchsde's objects and arguments, unchanged: the same numbers on the same path, and its own features
through our call."""

import inspect

import pytest
import torch
import torchsde
from solvers.sde_truths import F64, Arctangent, Fading, Geometric, Network, Rotation

from nde_lab.solvers import (
    SDE,
    Brownian,
    ChunkedBrownian,
    Grid,
    SolverError,
    sdeint,
    sdeint_adjoint,
    solve_sde,
)

TS = torch.tensor([0.0, 0.25, 1.0], dtype=F64)
ITO, STRATONOVICH = (
    ("euler", "milstein", "srk"),
    ("milstein", "heun", "midpoint", "reversible_heun", "euler_heun", "log_ode"),
)
GENERAL = {"euler", "heun", "midpoint", "reversible_heun", "euler_heun", "log_ode"}


def path(m, rows=4, steps=32, seed=0):
    return Brownian.draw(Grid(0.0, 1.0, steps), (rows, m), seed=seed, dtype=F64)


def start(rows=4, d=3):
    return torch.linspace(0.2, 0.9, rows * d, dtype=F64).reshape(rows, d)


def network(noise, calculus):
    torch.manual_seed(1)
    return Network(noise, calculus)


@pytest.mark.parametrize(
    "ours, theirs", [(sdeint, torchsde.sdeint), (sdeint_adjoint, torchsde.sdeint_adjoint)]
)
def test_the_arguments_are_theirs_in_their_order_with_their_defaults(ours, theirs):
    mine = [p for p in inspect.signature(ours).parameters.values() if p.kind is not p.VAR_KEYWORD]
    other = [p for p in inspect.signature(theirs).parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert [p.name for p in mine] == [p.name for p in other] + ["seed"]
    assert [p.default for p in mine[:-1]] == [p.default for p in other]


@pytest.mark.parametrize("noise", ["diagonal", "scalar", "additive", "general"])
@pytest.mark.parametrize(
    "calculus, method", [("ito", m) for m in ITO] + [("stratonovich", m) for m in STRATONOVICH]
)
def test_the_same_numbers_on_the_same_path(noise, calculus, method):
    if noise == "general" and method not in GENERAL:
        return
    # Milstein refuses noise that mixes coordinates, and for scalar noise theirs has the transposed Jacobian.
    sde = (
        Geometric(calculus, noise)
        if method == "milstein" and noise != "additive"
        else network(noise, calculus)
    )
    y0 = start(d=2 if isinstance(sde, Geometric) else 3)
    m = {"diagonal": y0.shape[1], "scalar": 1}.get(noise, 2)
    bm = path(m)
    if method == "log_ode":  # it needs Levy areas
        bm = lambda: torchsde.BrownianInterval(
            0.0,
            1.0,
            size=(4, m),
            dtype=F64,
            entropy=3,  # noqa: E731
            levy_area_approximation="foster",
        )
    each = bm if callable(bm) and not isinstance(bm, Brownian) else lambda: bm
    mine = sdeint(sde, y0, TS, bm=each(), method=method, dt=1 / 16)
    theirs = torchsde.sdeint(sde, y0, TS, bm=each(), method=method, dt=1 / 16)
    assert mine.shape == theirs.shape and (mine - theirs).abs().max() < 1e-11


@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
@pytest.mark.parametrize("noise", ["diagonal", "scalar"])
def test_milstein_without_derivatives(calculus, noise):
    sde, y0 = Geometric(calculus, noise), start(d=2)
    bm, options = path(2 if noise == "diagonal" else 1), {"grad_free": True}
    mine = sdeint(sde, y0, TS, bm=bm, method="milstein", dt=1 / 32, options=options)
    theirs = torchsde.sdeint(sde, y0, TS, bm=bm, method="milstein", dt=1 / 32, options=options)
    assert (mine - theirs).abs().max() < 1e-11
    plain = solve_sde(sde, y0, TS, bm, method="milstein", dt=1 / 32)
    assert 0 < (mine - plain.ys).abs().max() < 0.05 and plain.stats["diffusion_evaluations"] == 32


@pytest.mark.parametrize(
    "make, m, calculus",
    [
        (Geometric, 2, "ito"),
        (Arctangent, 1, "ito"),
        (Fading, 2, "ito"),
        (Rotation, 1, "ito"),
        (Geometric, 2, "stratonovich"),
        (Arctangent, 1, "stratonovich"),
        (Fading, 2, "stratonovich"),
        (Rotation, 1, "stratonovich"),
    ],
)
def test_their_problems_with_closed_forms_at_the_default_method(make, m, calculus):
    sde, y0, bm = make(calculus), start(64, 2), path(m, rows=64, steps=256)
    found = solve_sde(sde, y0, [0.0, 1.0], bm, dt=1 / 256)
    assert found.stats["method"] == {"ito": "srk", "stratonovich": "midpoint"}[calculus]
    error = (found.ys[-1] - sde.exact(y0, bm.path()[-1])).norm(dim=1).mean()
    assert error < (1e-3 if calculus == "ito" else 2e-2)


def test_the_default_method_is_theirs_where_it_has_its_order():
    def method(sde):
        return solve_sde(sde, start(), [0.0, 1.0], dt=0.25, seed=0).stats["method"]

    assert method(network("scalar", "ito")) == method(network("additive", "ito")) == "srk"
    assert method(SDE(lambda t, y: -y, lambda t, y: torch.sin(y))) == "srk"
    # A mixing network.
    assert method(network("general", "ito")) == method(network("diagonal", "ito")) == "euler"
    assert method(network("general", "stratonovich")) == "midpoint"
    blind = torch.zeros(4, 4, 3, dtype=F64)
    assert (
        solve_sde(SDE(lambda t, y: -y, lambda t, y: torch.sin(y)), start(), [0.0, 1.0], blind, dt=0.25).stats[
            "method"
        ]
        == "euler"
    )


# ---- names, extra, extra_solver_state, logqp -----------------------------------------------------------------


class Renamed(torchsde.SDEIto):
    def __init__(self):
        super().__init__(noise_type="diagonal")

    def forward(self, t, y):
        return y * t

    def g(self, t, y):
        return torch.sigmoid(t * y)

    def w(self, t, y):
        return 0.5 * y


def test_names_as_theirs():
    names = {"drift": "forward", "prior_drift": "w"}
    for logqp, m in ((False, 3), (True, 4)):
        both = [
            call(Renamed(), start(), TS, bm=path(m), method="euler", dt=1 / 32, names=names, logqp=logqp)
            for call in (sdeint, torchsde.sdeint)
        ]
        for a, b in zip(*(x if logqp else (x,) for x in both), strict=True):
            assert torch.allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("noise", ["diagonal", "scalar", "additive", "general"])
@pytest.mark.parametrize("extra", [False, True])
def test_logqp_and_extra_return_what_theirs_return(noise, extra):
    sde, m = network(noise, "stratonovich"), {"diagonal": 4, "scalar": 1}.get(noise, 2)
    out = [
        call(sde, start(), TS, bm=path(m), method="reversible_heun", dt=1 / 32, logqp=True, extra=extra)
        for call in (sdeint, torchsde.sdeint)
    ]
    assert len(out[0]) == len(out[1]) == 2 + extra
    for mine, theirs in zip(
        torch.utils._pytree.tree_leaves(out[0]), torch.utils._pytree.tree_leaves(out[1]), strict=True
    ):
        assert mine.shape == theirs.shape and torch.allclose(mine, theirs, rtol=1e-9, atol=1e-11)
    assert out[0][1].shape == (2, 4)


def test_a_solve_goes_on_from_its_extra_state():
    sde, bm = network("diagonal", "stratonovich"), path(3)
    whole, last = sdeint(sde, start(), TS, bm, "reversible_heun", dt=1 / 32, extra=True)
    first, second = (
        Brownian(Grid(a, b, int(32 * (b - a))), bm.increments[int(32 * a) : int(32 * b)])
        for a, b in ((0.0, 0.25), (0.25, 1.0))
    )
    y, extra = sdeint(sde, start(), TS[:2], first, "reversible_heun", dt=1 / 32, extra=True)
    y, again = sdeint(
        sde, y[-1], TS[1:], second, "reversible_heun", dt=1 / 32, extra=True, extra_solver_state=extra
    )
    assert torch.allclose(y[-1], whole[-1], rtol=1e-12)
    for a, b in zip(again, last, strict=True):
        assert torch.allclose(a, b, rtol=1e-12)
    assert sdeint(sde, start(), TS, bm, "heun", dt=1 / 32, extra=True)[1] == ()


# ---- what torchsde does for us -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "calculus, method",
    [("ito", "srk"), ("ito", None), ("stratonovich", "midpoint"), ("stratonovich", "milstein")],
)
def test_adaptive_steps(calculus, method):
    sde, y0 = Geometric(calculus), start(8, 2)
    bm = torchsde.BrownianInterval(
        0.0, 1.0, size=(8, 2), dtype=F64, entropy=3, levy_area_approximation="space-time"
    )
    coarse, fine = (
        sdeint(sde, y0, TS, bm, method, dt=0.1, adaptive=True, rtol=tol, atol=tol)[-1] for tol in (1e-1, 1e-3)
    )
    known = sde.exact(y0, bm(0.0, 1.0))
    assert (fine - known).norm() < 0.5 * (coarse - known).norm() and (fine - known).abs().max() < 0.05
    def run():
        return solve_sde(sde, y0, TS, dt=0.1, adaptive=True, method=method, seed=4, rtol=1e-2, atol=1e-2)

    found = run()
    assert torch.equal(found.ys, run().ys) and found.stats["by"] == "torchsde" and found.ok.all()
    assert found.status.kind == "finished" and found.status.sentence.startswith("Finished: ")


def test_adaptive_with_the_path_kl():
    bm = torchsde.BrownianInterval(0.0, 1.0, size=(4, 1), dtype=F64, entropy=3)
    sde = network("scalar", "stratonovich")
    found = solve_sde(sde, start(), TS, bm, dt=0.1, adaptive=True, rtol=1e-3, atol=1e-3, logqp=True)
    fixed = solve_sde(sde, start(), TS, bm, dt=0.01, logqp=True)
    assert found.ys.shape == (3, 4, 3) and found.path_kl.shape == (2, 4)
    assert float(found.path_kl.detach().sum()) == pytest.approx(float(fixed.path_kl.detach().sum()), rel=0.05)


class Products:
    """Only diffusion-vector products."""

    noise_type, sde_type = "general", "ito"

    def f(self, t, y):
        return -y

    def g_prod(self, t, y, v):
        return torch.cos(y) * v[:, :1]


def test_an_sde_of_products_only():
    bm = path(2)
    mine = sdeint(Products(), start(), TS, bm, "euler", dt=1 / 32)
    assert (
        mine - torchsde.sdeint(Products(), start(), TS, bm=bm, method="euler", dt=1 / 32)
    ).abs().max() < 1e-12
    with pytest.raises(ValueError, match="how many Brownian motions it has; give bm"):
        sdeint(Products(), start(), TS, method="euler")


@pytest.mark.parametrize("noise", ["diagonal", "general"])
def test_the_exact_adjoint_agrees_with_theirs(noise):
    grads = []
    for call in (sdeint_adjoint, torchsde.sdeint_adjoint):
        sde = network(noise, "stratonovich")
        ys = call(
            sde, start(), TS, bm=path(3 if noise == "diagonal" else 2), method="reversible_heun", dt=1 / 32
        )
        ys.square().sum().backward()
        grads.append([p.grad for p in sde.parameters() if p.grad is not None and p.grad.abs().max() > 0])
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_other_adjoints_are_theirs_and_approximate():
    grads = []
    for method in ("midpoint", None):
        sde = network("diagonal", "stratonovich")
        ys = sdeint_adjoint(sde, start(), TS, method=method, dt=1 / 32, seed=0)
        ys.square().sum().backward()
        grads.append(sde.drift_net[0].weight.grad)
    exact = network("diagonal", "stratonovich")
    bm = torchsde.BrownianInterval(0.0, 1.0, size=(4, 3), dtype=F64, entropy=0, dt=1 / 32)
    sdeint(exact, start(), TS, bm, "midpoint", dt=1 / 32).square().sum().backward()
    off = (grads[0] - exact.drift_net[0].weight.grad).norm() / exact.drift_net[0].weight.grad.norm()
    assert torch.equal(*grads) and 1e-8 < off < 0.1


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"adaptive": True, "bm": path(3)}, "adaptive steps ask for the path between the times of its grid"),
        ({"adaptive": True, "bm": torch.zeros(4, 4, 3, dtype=F64)}, "increments belong to one grid of steps"),
        (
            {"adaptive": True, "bm": ChunkedBrownian(Grid(0.0, 1.0, 4), (4, 3), 0, F64), "seed": 1},
            "either bm or seed",
        ),
        ({"method": "log_ode", "bm": path(3)}, "requires one of"),  # torchsde's own sentence
        (
            {"method": "srk", "bm": torch.zeros(4, 4, 3, dtype=F64)},
            "needs the space-time areas.*another method",
        ),
        ({"method": "adjoint_reversible_heun"}, "backward pass of 'reversible_heun'.*adjoint_method"),
        ({"logqp": True}, "define h.t, y. or prior_drift"),
    ],
)
def test_refusals(options, sentence):
    calculus = "stratonovich" if options.get("method") == "log_ode" else "ito"
    sde = SDE(lambda t, y: -y, lambda t, y: torch.sin(y), "diagonal", calculus)
    with pytest.raises(ValueError, match=sentence):
        sdeint(sde, start(), TS, dt=0.25, **options)


def test_an_adaptive_solve_that_fails_is_a_sentence():
    sde = SDE(lambda t, y: torch.sqrt(0.5 - y), lambda t, y: 0.1 * torch.ones_like(y))
    with pytest.raises(SolverError, match="torchsde's adaptive steps met a state that is not finite"):
        sdeint(sde, start(), [0.0, 1.0], adaptive=True, dt=0.1, method="srk", seed=0)
