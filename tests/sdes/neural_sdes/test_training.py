"""The three trained models: what their steps must obey, whatever they learn."""
import math

import numpy as np
import pytest
import torch
from experiment_laws import frames_are_finite_and_drawn, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import run
from nde_lab.random import sample
from nde_lab.sdes.neural_sdes import SDEGAN, LatentOU, LearnedPrior, gauss, series
from nde_lab.sdes.neural_sdes.gan import clip_weights
from nde_lab.sdes.neural_sdes.latent import encode

ALL = (LatentOU, LearnedPrior, SDEGAN)


@pytest.mark.parametrize("cls", ALL)
@settings(deadline=None, max_examples=4)
@given(data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames_that_can_be_drawn(cls, data, seed):
    frames_are_finite_and_drawn(cls, data.draw(settings_of(cls)), seed)


def test_before_training_the_posterior_is_the_prior_and_costs_nothing():
    made = run(LatentOU, seed=0)
    study, state, live = made.experiment, made.state, made._live_tensors()
    x, w = study.seen(study.data(), state, live)
    params = {n: state[n] for n in study.names()}
    noise = sample(study.draws().observe, seed=0, stream="observe")
    zs, kl, m = study.posterior(params, encode(x, w, dt=study.dt), noise["z0"], noise["xi"])
    assert float(kl.abs().max()) == 0 and float(m.abs().max()) == 0
    assert float(study.start_kl(params)) == pytest.approx(0, abs=1e-6)
    z = study.p0**0.5 * noise["z0"]
    for k in range(study.n):
        z = z - z * study.dt + study.dt**0.5 * noise["xi"][k]
    assert torch.allclose(zs[-1], z, atol=1e-5)


def test_hidden_points_cannot_be_seen():
    made = run(LatentOU, {"gap": 1.0}, seed=0)
    study, state, live = made.experiment, made.state, made._live_tensors()
    x, w = study.seen(study.data(), state, live)
    assert int((w == 0).sum()) in (19, 20, 21)
    spoiled = torch.where(w > 0, x, 1e3)
    assert torch.equal(encode(x, w, dt=0.05), encode(spoiled, w, dt=0.05))
    alpha, v = study.chain()
    told = [gauss.future(y, w, alpha=alpha, v=v, s=live["s"]) for y in (x, spoiled)]
    assert torch.equal(gauss.evidence(told[0], p0=0.5), gauss.evidence(told[1], p0=0.5))


def test_what_lies_ahead_looks_ahead_only():
    x, w = torch.arange(10.0), torch.ones(10)
    later = x.clone()
    later[:4] = 99.0                       # the past of step 4
    assert torch.equal(encode(x, w, dt=0.05)[4:], encode(later, w, dt=0.05)[4:])
    assert not torch.equal(encode(x, w, dt=0.05)[3], encode(later, w, dt=0.05)[3])


@pytest.mark.slow
def test_the_trained_bound_lies_between_a_start_and_the_best_bound():
    made = run(LatentOU, seed=1, steps=120)
    while made.status.kind == "running":
        made.advance()
    h = made.frame().history
    assert h["elbo"][-5:].mean() > h["elbo"][0] + 10
    assert h["elbo"][-5:].mean() < h["best"][-1] + 1.0 and h["best"][-1] < h["evidence"][-1]


def test_windows_weigh_like_their_bound():
    """The mean of log_weight is fit - KL, the start's KL included; the noise terms have mean zero."""
    made = run(LearnedPrior, seed=0, steps=30)
    for _ in range(30):
        made.advance()
    study, params = made.experiment, made.experiment.params(made.state)
    n, copies = (study.window - 1) * study.sub, 4000
    g = torch.Generator().manual_seed(0)
    z0, xi = torch.randn(copies, 2, generator=g), torch.randn(n, copies, 2, generator=g)
    window = series.lynx()[:study.window, None].expand(-1, copies)
    weight = study.log_weight(params, window, z0, xi)
    zs, kl, _, start, _ = study.posterior(params, window, z0, xi)
    plain = study.fit(params, window, zs) - kl - start
    error = float((weight - plain).std() / copies**0.5)
    assert abs(float(weight.mean() - plain.mean())) < 4 * error
    tight = float(torch.logsumexp(weight, 0)) - math.log(copies)
    assert tight > float(weight.mean())


def test_the_lynx_series_is_standardised_and_has_its_cycle():
    x = series.lynx()
    assert x.shape == (114,) and float(x.mean()) == pytest.approx(0, abs=1e-6)
    assert float(x.std(correction=0)) == pytest.approx(1, abs=1e-6)
    acf = LearnedPrior().autocorrelation(x[:, None])
    by_hand = [float((x[:114 - k] * x[k:]).sum() / x.square().sum()) for k in range(31)]
    assert np.allclose(acf.numpy(), by_hand, atol=1e-4) and 5 + int(acf[5:16].argmax()) == 10


def test_the_double_well_settles_on_its_density():
    g = torch.Generator().manual_seed(0)
    z0 = torch.ones(400)
    zs = series.double_well(z0, torch.randn(2000, 400, generator=g), dt=0.02, sigma=0.9)[1000::25].flatten()
    grid = torch.linspace(-2.5, 2.5, 201)
    p = series.well_density(grid, sigma=0.9)
    step = float(grid[1] - grid[0])
    assert float(p.sum()) * step == pytest.approx(1, abs=1e-5)
    assert float(zs.square().mean()) == pytest.approx(float((p * grid**2).sum()) * step, rel=0.06)


def test_real_paths_of_the_gan_have_the_exact_moments():
    study = SDEGAN()
    g = torch.Generator().manual_seed(0)
    y = study.real(1.0 + 0.25 * torch.randn(20_000, generator=g), torch.randn(study.n, 20_000, generator=g))
    t = study.data()["t"]
    V = study.sigma**2 / 2
    assert torch.allclose(y.mean(1), torch.exp(-t), atol=0.02)
    assert torch.allclose(y.var(1), V + (0.25**2 - V) * torch.exp(-2 * t), atol=0.01)


def test_the_exact_correlation_is_that_of_real_paths():
    made = run(SDEGAN, seed=0, steps=1)
    study, exact = made.experiment, torch.from_numpy(made.frame().arrays["exact_corr"])
    g = torch.Generator().manual_seed(0)
    y = study.real(1.0 + 0.25 * torch.randn(40_000, generator=g), torch.randn(study.n, 40_000, generator=g))
    y = y - y.mean(1, keepdim=True)
    corr = (y * y[study.n // 2]).mean(1) / (y.square().mean(1) * y[study.n // 2].square().mean()).sqrt()
    assert torch.allclose(corr, exact, atol=0.02)


def test_the_critic_is_clipped_after_every_step_and_then_stretches_no_largest_entry():
    made = run(SDEGAN, {"lr_d": 5e-2}, seed=0, steps=2)
    made.advance()
    critic = made.experiment.critic.params(made.state)
    for name, p in critic.items():
        if p.dim() == 2:
            assert float(p.abs().max()) <= 1 / p.shape[1] + 1e-7, name
    W = clip_weights({"W": torch.randn(7, 5)})["W"]
    assert float(W.abs().sum(1).max()) <= 1 + 1e-6


def test_each_player_moves_in_its_own_direction():
    """One small step of either player alone: the critic's raises the score, the generator's lowers it."""
    def score(made, state):
        t, noise = made._data["t"], made._draws["step"].at(0)
        study = made.experiment
        fake = study.generator.apply(study.generator.params(state), t, noise["V"], noise["dW"])
        real = study.real(noise["y0"], noise["xi"])
        d = study.critic.params(state)
        return float(study.critic.apply(d, t, real).mean() - study.critic.apply(d, t, fake).mean())

    made = run(SDEGAN, {"lr_g": 1e-4, "lr_d": 1e-4}, seed=0, steps=2)
    before = dict(made.state)
    made.step()
    old = score(made, before)
    assert score(made, before | {n: v for n, v in made.state.items() if n.startswith("d.")}) > old
    assert score(made, before | {n: v for n, v in made.state.items() if n.startswith("g.")}) < old
