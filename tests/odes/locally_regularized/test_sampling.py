"""The local penalty: where the samplers look, what is differentiated, and the gradient with the solver
closed."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab import autodiff
from nde_lab.experiment import Run
from nde_lab.odes.locally_regularized.blackbox import BlackBoxDigits, adjoint
from nde_lab.odes.locally_regularized.digits import LocalDigits
from nde_lab.odes.locally_regularized.sampling import biased, local_penalty, moment, repeat, unbiased
from nde_lab.odes.opening_the_blackbox import solve
from nde_lab.solvers import TABLEAUS, error_ratio, rk_step

T64 = torch.float64


def field(t, y):
    return 4 * torch.cos(15 * t) * y + torch.sin(y)


@pytest.fixture(scope="module")
def solved():
    made = solve(field, torch.tensor([[1.0, -0.5], [0.2, 2.0]], dtype=T64), rtol=1e-6, turns=60, h0=0.4)
    assert made.ok.all() and int(made.rejected.min()) > 0
    return made


def test_biased_draws_each_accepted_step_equally_often(solved):
    n = int(solved.accepted[0])
    u = (torch.arange(10 * n, dtype=T64) + 0.5) / (10 * n)
    at = biased(repeat(solved.turns, len(u)), torch.cat([u, u]))
    starts = solved.turns.t[solved.turns.accept[:, 0], 0]
    times, counts = at.t[:10 * n, 0].unique(return_counts=True)
    assert torch.equal(times, starts) and counts.tolist() == [10] * n
    assert torch.equal(at.h[0], solved.turns.h[solved.turns.accept[:, 0], 0][:1])


@settings(deadline=None, max_examples=8)
@given(u=st.floats(0, 1, exclude_max=True))
def test_unbiased_reads_the_state_at_its_time_and_the_length_of_the_step_around_it(u, solved):
    at = unbiased(field, solved.turns, torch.full((2,), u, dtype=T64))
    fine = solve(field, solved.turns.y[0], rtol=1e-10, turns=200) if u == 0 else None
    if fine is None:
        t1 = torch.full((2, 1), u, dtype=T64)
        from nde_lab.solvers import integrate_adaptive
        fine = integrate_adaptive(field, solved.turns.y[0], 0.0, t1, turns=200, rtol=1e-10, atol=1e-10)
        assert torch.allclose(at.z, fine.y, atol=1e-4)
    for row in range(2):
        mine = solved.turns.accept[:, row]
        t, h = solved.turns.t[mine, row], solved.turns.h[mine, row]
        inside = (t <= u) & (u < t + h)
        assert int(inside.sum()) == 1 and float(at.h[row]) == float(h[inside])


def test_the_local_penalty_is_q_h_of_one_step_and_z_is_a_constant(solved):
    start = solved.turns.y[0].clone().requires_grad_()
    made = solve(field, start, rtol=1e-6, turns=60, h0=0.4)
    at = moment("biased", field, made.turns, torch.tensor([0.5, 0.9], dtype=T64))
    r = local_penalty(field, at, rtol=1e-6)
    assert not r.requires_grad, "nothing of the solve is remembered"
    step = rk_step(field, at.t, at.z, at.h, TABLEAUS["dopri5"])
    assert torch.equal(r, error_ratio(step.error, at.z, step.y, 1e-6, 1e-6) * at.h[:, 0])
    assert not any(part.requires_grad for part in at)


def test_the_recorded_step_gives_back_the_solvers_own_error_ratio(solved):
    at = moment("biased", field, solved.turns, torch.zeros(2, dtype=T64))
    first = solved.turns.accept[:, 0].to(torch.int64).argmax()
    assert float(local_penalty(field, at, rtol=1e-6)[0]) == pytest.approx(
        float(solved.turns.q[first, 0] * solved.turns.h[first, 0]), rel=1e-12)


def test_an_unknown_sampler_is_refused(solved):
    with pytest.raises(ValueError, match="unknown sampler 'even'; known: unbiased, biased"):
        moment("even", field, solved.turns, torch.zeros(2, dtype=T64))


def test_the_adjoint_agrees_with_backpropagation_through_a_tight_solve():
    params = {"W": torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=T64)}
    z0 = torch.tensor([[0.5, -1.0, 0.3], [1.0, 0.2, -0.4]], dtype=T64)

    def velocity(p, t, z):
        return torch.tanh(z @ p["W"] + t)

    def loss(given):
        end = solve(lambda t, y: velocity(given, t, y), given["z"], rtol=1e-10, turns=200).y
        return end.square().sum(), end
    (_, end), exact = autodiff.value_and_grad(loss, params | {"z": z0}, has_aux=True)
    back, a0, grads = adjoint(velocity, params, end, 2 * end, steps=40)
    assert torch.allclose(back, z0, atol=1e-6)
    assert torch.allclose(a0, exact["z"], atol=1e-6) and torch.allclose(grads["W"], exact["W"], atol=1e-6)


def test_with_the_solver_closed_the_fit_is_differentiated_as_before():
    """The adjoint's gradient of the first batch against backpropagation through the solver."""
    closed, opened = Run(BlackBoxDigits, {"kind": "none"}), Run(LocalDigits, {"kind": "none"})
    noise, data = closed._draws["step"].at(0), closed._data
    params = closed.experiment.net.params(closed.state)
    fit, own, _, solved = closed.experiment.gradients(data, params, noise)
    assert not solved.error_sum.requires_grad and all(float(g.abs().max()) == 0 for g in own.values())
    i = noise["index"]

    def loss(p):
        from nde_lab.odes.opening_the_blackbox.digits import cross_entropy
        return cross_entropy(opened.experiment.forward(p, data["x"][i])[2], data["y"][i])
    _, exact = autodiff.value_and_grad(loss, params)
    for name, g in exact.items():
        assert float((fit[name] - g).norm() / g.norm()) < 2e-3, name
