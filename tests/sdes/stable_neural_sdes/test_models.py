"""The classes: who sees time, state and path; zero and sign; gradients; the solvers' and torchsde's conventions."""
import math

import pytest
import torch
import torchsde

from nde_lab.autodiff import value_and_grad
from nde_lab.random import sample
from nde_lab.sdes.stable_neural_sdes import GSDE, KINDS, LNSDE, LSDE, NaiveSDE, NeuralSDE, classifier, forms
from nde_lab.sdes.stable_neural_sdes import training as tr
from nde_lab.solvers import Brownian, Grid, integrate, sdeint

T64 = torch.float64
PURE = {
    "naive": NaiveSDE(lambda t, z: -z + t, lambda t, z: 0.3 + 0.1 * z.sin()),
    "LSDE": LSDE(lambda z: -z.tanh(), lambda t: 0.4 + 0.1 * t),
    "LNSDE": LNSDE(lambda t, z: -z + t, lambda t: 0.4 + 0.1 * t),
    "GSDE": GSDE(lambda t, z: 0.2 - z.abs(), lambda t: 0.5),
}


def net(kind, **more):
    torch.manual_seed(0)
    return NeuralSDE(kind, channels=2, hidden=6, **more).double()


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=T64)


def time(t):
    return torch.tensor(t, dtype=T64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_control_path_enters_the_drift_only(kind):
    sde, z = net(kind), randn(5, 6)
    x1, x2 = randn(5, 2, seed=1), randn(5, 2, seed=2)
    assert not torch.allclose(sde.f(time(0.5), z, x1), sde.f(time(0.5), z, x2))
    x = x1.requires_grad_()
    driven = sde.driven(lambda t: x)
    assert torch.autograd.grad(driven.drift(time(0.5), z).sum(), x)[0].abs().max() > 0
    assert torch.autograd.grad(driven.diffusion(time(0.5), z).sum(), x, allow_unused=True)[0] is None


@pytest.mark.parametrize("kind", KINDS)
def test_without_control_the_drift_does_not_look_at_the_path_and_with_it_asks_for_one(kind):
    sde, z = net(kind, control=False), randn(5, 6)
    assert torch.equal(sde.f(time(0.5), z), sde.f(time(0.5), z, randn(5, 2, seed=3)))
    with pytest.raises(ValueError, match="has a control path: pass its value x"):
        net(kind).f(time(0.5), z)


@pytest.mark.parametrize(("kind", "drift_sees_time", "noise_sees_state"), [
    ("naive", True, True), ("LSDE", False, False), ("LNSDE", True, True), ("GSDE", True, True)])
def test_who_sees_time_and_state(kind, drift_sees_time, noise_sees_state):
    sde, z, x = net(kind), randn(5, 6), randn(5, 2, seed=1)
    assert torch.allclose(sde.f(time(0.1), z, x), sde.f(time(2.0), z, x)) is not drift_sees_time
    assert torch.allclose(sde.g(time(0.1), z), sde.g(time(0.1), 2 * z)) is not noise_sees_state
    assert not torch.allclose(sde.g(time(0.1), z), sde.g(time(2.0), z))


@pytest.mark.parametrize("kind", KINDS)
def test_the_clips_bound_drift_and_diffusion_by_one(kind):
    sde = net(kind)
    z, x = 100 * randn(50, 6), 100 * randn(50, 2, seed=1)
    assert sde.f(time(0.5), z, x).abs().max() <= 1 and sde.g(time(0.5), z).abs().max() <= 1


@pytest.mark.parametrize("kind", ["LNSDE", "GSDE"])
def test_linear_noise_vanishes_at_zero_and_only_the_gsde_also_stays_there(kind):
    sde, zero, x = net(kind), torch.zeros(4, 6, dtype=T64), randn(4, 2)
    assert torch.count_nonzero(sde.g(time(0.3), zero)) == 0
    assert bool(torch.count_nonzero(sde.f(time(0.3), zero, x)) == 0) is (kind == "GSDE")


def test_the_noise_scale_is_the_sigmoid_of_theta():
    small, large, z = net("LSDE"), net("LSDE"), randn(3, 6)
    with torch.no_grad():
        small.theta.fill_(-3.0)
        large.theta.fill_(1.0)
        ratio = torch.atanh(large.g(time(0.2), z)).sum() / torch.atanh(small.g(time(0.2), z)).sum()
    assert float(ratio) == pytest.approx((1 + math.exp(3)) / (1 + math.exp(-1)), rel=1e-9)


def test_a_gsde_keeps_signs_and_zero_under_its_log_step_where_euler_does_not():
    sde = GSDE(lambda t, z: 0.3 - z, lambda t: 2.0)
    z = (torch.arange(41, dtype=T64)[:, None] - 20) / 20
    logged, euler, dt = z, z, 0.5
    for dW in math.sqrt(dt) * randn(30, 41, 1):
        logged = sde.log_step(time(0.0), logged, dt, dW)
        euler = euler + sde.f(time(0.0), euler) * dt + sde.g(time(0.0), euler) * dW
        assert torch.equal(torch.sign(logged), torch.sign(z))
    assert euler[20] == 0 and (torch.sign(euler) != torch.sign(z)).any()


def test_the_log_step_is_the_closed_form_for_constant_coefficients_at_any_step():
    sde, z0, dW = GSDE(lambda t, z: -0.4, lambda t: 0.9), randn(20, 3), randn(7, 20, 3, seed=1)
    z = z0
    for k in range(7):
        z = sde.log_step(time(0.0), z, 1.0, dW[k])
    assert torch.allclose(z, forms.gsde_exact(z0, dW.sum(0), gamma=-0.4, sigma=0.9, t=7.0), rtol=1e-12)


@pytest.mark.parametrize("name", PURE)
def test_our_solver_and_torchsde_agree_on_the_same_brownian_path(name):
    grid = Grid(0.0, 1.0, 20)
    bm = Brownian.draw(grid, (4, 3), seed=0, dtype=T64)
    z0 = randn(4, 3).abs() + 0.1
    mine = integrate(PURE[name], z0, grid, bm.increments, save="last")
    theirs = torchsde.sdeint(PURE[name], z0, grid.tensor(T64)[[0, -1]], bm=bm, method="euler", dt=grid.dt)[-1]
    assert torch.allclose(mine, theirs, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_classifier_integrates_the_driven_sde(kind):
    """The latent path of the classifier is what sdeint gives for the same noise and the path held on each step."""
    made = classifier(kind, channels=2, classes=3, hidden=6)
    params = {n: p.double() for n, p in made.init(sample(made.draws, seed=0, stream="start")).items()}
    grid = Grid(0.0, 2.0, 10)
    ts, xs, dW = grid.tensor(T64), randn(11, 4, 2), Brownian.draw(grid, (4, 6), seed=1, dtype=T64)
    module = made.module.double()
    module.load_state_dict(params)
    with torch.no_grad():
        zs = module.latent(ts, xs, dW.increments)
        held = module.sde.driven(lambda t: xs[round(float(t) / grid.dt)])
        ys = sdeint(held, module.start(xs[0]), ts, bm=dW, method="euler", dt=grid.dt)
        assert torch.allclose(zs, ys, rtol=1e-9)
        scores = made.apply(params, ts, xs, dW.increments)
        assert torch.allclose(scores, module.readout(ys[-1]))
        early = made.apply(params, ts, xs, dW.increments, torch.tensor([3, 10, 0, 5]))
        assert torch.allclose(early[0], module.readout(ys[3, 0])) and torch.allclose(early[1], scores[1])
        assert torch.allclose(made.apply(params, ts, xs, dW.increments, None, True)[-1], scores)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_through_the_solver_match_finite_differences(kind):
    made = classifier(kind, channels=2, classes=3, hidden=4)
    drawn = sample(made.draws, seed=3, stream="start", dtype=T64)
    params = made.init(drawn)
    ts, xs, dW = torch.linspace(0, 2, 6, dtype=T64), randn(6, 5, 2), 0.6 * randn(5, 5, 4, seed=1)
    labels = torch.tensor([0, 1, 2, 0, 1])

    def loss(p):
        return tr.cross_entropy(made.apply(p, ts, xs, dW), labels)

    _, grads = value_and_grad(loss, params)
    direction = {n: randn(*p.shape, seed=i) for i, (n, p) in enumerate(params.items())}
    eps = 1e-6
    up, down = ({n: p + s * eps * direction[n] for n, p in params.items()} for s in (1, -1))
    numeric = float(loss(up) - loss(down)) / (2 * eps)
    exact = float(sum((grads[n] * direction[n]).sum() for n in params))
    assert exact == pytest.approx(numeric, rel=1e-5, abs=1e-8)
    assert float(grads["sde.theta"].abs()) > 0, "the noise scale must be learned"


def test_all_classes_share_the_names_of_their_parameters_and_the_path_switch_shares_their_start():
    names = {kind: set(classifier(kind, channels=2, classes=3).init(
        sample(classifier(kind, channels=2, classes=3).draws, seed=0, stream="start"))) for kind in KINDS}
    assert len({frozenset(n) for n in names.values()}) == 1
    on, off = (classifier("GSDE", channels=2, classes=3, control=c) for c in (True, False))
    first, second = (m.init(sample(m.draws, seed=4, stream="start")) for m in (on, off))
    assert all(torch.equal(first[n], second[n]) for n in first)


def test_bad_arguments_are_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match="unknown class 'CDE' of neural SDE; known: naive, LSDE, LNSDE, GSDE"):
        NeuralSDE("CDE", channels=2)
    with pytest.raises(ValueError, match="must be at least 1, got 0, 16, 1"):
        NeuralSDE("GSDE", channels=0)


def test_cross_entropy_and_accuracy_agree_with_torch():
    scores, labels = randn(7, 4), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    assert torch.allclose(tr.cross_entropy(scores, labels), torch.nn.functional.cross_entropy(scores, labels))
    batched = tr.accuracy(torch.stack([scores, 10.0 * tr.one_hot(labels, scores)]), labels)
    assert float(batched[1]) == 1.0 and float(batched[0]) == float((scores.argmax(-1) == labels).double().mean())
