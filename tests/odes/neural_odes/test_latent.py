"""Latent ODEs: what the encoder may see, the ELBO, and that both runs learn."""
import numpy as np
import pytest
import torch

from nde_lab.experiment import Run, last, run
from nde_lab.nets import functional
from nde_lab.odes.neural_odes import LatentPower, LatentWaves
from nde_lab.odes.neural_odes import latent as lt
from nde_lab.odes.neural_odes.training import dots
from nde_lab.random import Normal, sample
from nde_lab.views import still


def model(kind, channels=2):
    net = functional(lt.LatentODE(channels=channels, latent=3, hidden=5, kind=kind))
    return net, net.init(sample(net.draws, seed=0, stream="start"))


def series(n=9, b=4, c=2):
    x = sample({"x": Normal((n, b, c)), "u": Normal((n, b, c)), "xi": Normal((b, 3))}, seed=1, stream="step")
    return torch.linspace(0, 1, n) ** 1.5, x["x"], (x["u"] > 0).float(), x["xi"]


@pytest.mark.parametrize("kind", lt.KINDS)
def test_an_entry_that_is_not_seen_cannot_change_anything(kind):
    net, params = model(kind)
    ts, x, seen, xi = series()
    guess, divergence = net.apply(params, ts, x, seen, xi)
    spoiled = torch.where(seen > 0, x, 1e6)
    again, also = net.apply(params, ts, spoiled, seen, xi)
    assert torch.equal(guess, again) and torch.equal(divergence, also)
    moved, _ = net.apply(params, ts, x + seen, seen, xi)
    assert not torch.allclose(guess, moved)
    assert guess.shape == x.shape and divergence.shape == (4,)


def test_the_memory_of_the_ode_kind_moves_between_readings_by_the_gap():
    """One reading at the end of a longer or shorter empty stretch: only the ODE's drift can tell them apart."""
    net, params = model("ode")
    ts, x, seen, xi = series()
    seen = torch.zeros_like(seen)
    seen[-1] = 1
    near = net.apply(params, ts, x, seen, xi)[1]
    far = net.apply(params, 3 * ts, x, seen, xi)[1]
    assert not torch.allclose(near, far)


def test_kl_is_the_integral_it_stands_for():
    mean, log_std = torch.tensor([[0.3, -1.0]]).double(), torch.tensor([[0.2, -0.7]]).double()
    q = torch.distributions.Normal(mean, log_std.exp())
    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    exact = torch.distributions.kl_divergence(q, p).sum(-1)
    assert torch.allclose(lt.kl(mean, log_std), exact)
    assert float(lt.kl(torch.zeros(1, 4), torch.zeros(1, 4))) == 0.0


def test_the_loss_counts_weighted_entries_only():
    x = torch.zeros(2, 1, 1)
    guess = torch.tensor([[[1.0]], [[100.0]]])
    weight = torch.tensor([[[1.0]], [[0.0]]])
    assert float(lt.negative_elbo(guess, x, weight, torch.zeros(1), sigma=0.5)) == pytest.approx(2.0)
    assert float(lt.negative_elbo(guess, x, weight, torch.ones(1), sigma=0.5, beta=3.0)) == pytest.approx(5.0)
    assert float(lt.mean_square(guess, x, weight)) == 1.0
    assert float(lt.mean_square(guess, x, 0 * weight)) == 0.0


def test_decoding_does_not_depend_on_further_times_asked_for():
    net, params = model("ode")
    z0 = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    ts = torch.linspace(0, 1, 400)
    fine = net.module.decode(z0, ts)
    coarse = net.module.decode(z0, ts[::3])
    assert torch.allclose(fine[::3], coarse, atol=1e-4)


@pytest.mark.parametrize(("kwargs", "says"), [({"kind": "lstm"}, "'ode' or 'gru', got 'lstm'"),
                                              ({"latent": 0}, "at least 1, got 1, 0, 20")])
def test_a_wrong_model_is_refused(kwargs, says):
    with pytest.raises(ValueError, match=says):
        lt.LatentODE(channels=1, **kwargs)


@pytest.mark.slow
def test_waves_learn_and_beat_straight_lines():
    h = last(run(LatentWaves, seed=0, steps=130)).history
    assert h["error"][-1] < 0.6 * h["line"][-1] and h["loss"][-1] < h["loss"][0] / 2


@pytest.mark.parametrize("cls", [LatentWaves, LatentPower])
@pytest.mark.parametrize("kind", lt.KINDS)
def test_knobs_at_their_ends_give_finite_frames_and_a_picture(cls, kind):
    for end in ("low", "high"):
        knobs = {n: getattr(k, end) for n, k in cls.live.items()}
        frame = last(run(cls, {"kind": kind, **knobs}, seed=2, steps=6))
        assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))
        assert cls(kind=kind).view().observables() <= set(frame.arrays)
    assert len(still(cls(kind=kind).view(), frame).axes) == 2


def test_removed_entries_of_real_days_are_never_used():
    made = Run(LatentPower, {"missing": 0.5, "until": 0.5}, seed=0)
    first = made.step()
    spoiled = Run(LatentPower, {"missing": 0.5, "until": 0.5}, seed=0)
    for part in ("", "test."):
        x, u = spoiled.state[f"{part}x"], spoiled.state[f"{part}u"]
        spoiled.state[f"{part}x"] = torch.where(u >= 0.5, x, 1e4)
    again = spoiled.step()
    assert torch.equal(first["loss"], again["loss"]) and torch.equal(first["mean"] < 1e3, again["mean"] > 1e3)
    net = made.experiment.net
    assert all(torch.equal(made.state[n], spoiled.state[n]) for n in net.params(made.state))


def test_test_days_are_not_among_the_training_days():
    made = Run(LatentPower, seed=3)
    train, test = made.state["x"][..., 0].T, made.state["test.x"][..., 0].T
    assert len(train) == 767 and len(test) == 164
    assert not {tuple(r) for r in train.tolist()} & {tuple(r) for r in test.tolist()}


def test_markers_stand_on_the_entries_that_were_read_and_nowhere_else():
    times, values = torch.linspace(0, 1, 6), torch.arange(6.0)
    at, value = dots(times, values, torch.tensor([0.0, 1, 0, 0, 1, 0]))
    assert sorted(set(value.tolist())) == [1.0, 4.0]
    assert np.allclose(sorted(set(at.tolist())), [0.2, 0.8])
