"""Targets, weights, and that the regressions find the marginal prediction."""
import pytest
import torch

from nde_lab.diffusion.principles_of_diffusion import SCHEDULES, noise_weight, square_errors, target
from nde_lab.diffusion.score_sde import KINDS, Mixture, convert
from nde_lab.random import Normal, Uniform, sample

T64 = torch.float64
each = pytest.mark.parametrize("process", SCHEDULES.values(), ids=SCHEDULES)


def batch(process, n):
    drawn = sample({"t": Uniform((n, 1), 0.05, 0.95), "u": Uniform((n,)), "w": Normal((n, 2)),
                    "z": Normal((n, 2))}, seed=0, stream="data", dtype=T64)
    return drawn["t"], Mixture.ring().draw(drawn["u"], drawn["w"]), drawn["z"]


@each
def test_conditional_targets_convert_into_each_other(process):
    t, x0, z = batch(process, 100)
    x = process.noised(t, x0, z)
    for kind in KINDS:
        found = convert(target(process, "noise", t, x0, z), x, t, process, source="noise", target=kind)
        assert torch.allclose(found, target(process, kind, t, x0, z), rtol=1e-9, atol=1e-9)


def test_on_the_straight_path_the_velocity_is_noise_minus_data():
    t, x0, z = batch(SCHEDULES["linear"], 100)
    assert torch.allclose(target(SCHEDULES["linear"], "velocity", t, x0, z), z - x0, atol=1e-12)


@each
def test_four_losses_are_one_loss_with_four_weights(process):
    t, x0, z = batch(process, 200)

    def noise(t, x):
        return torch.sin(x) + t

    base = square_errors(noise, process, "noise", t, x0, z)
    for kind in KINDS:
        def same(t, x, kind=kind):
            return convert(noise(t, x), x, t, process, source="noise", target=kind)
        found = square_errors(same, process, kind, t, x0, z)
        assert torch.allclose(found, noise_weight(process, kind, t)[:, 0] * base, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_prediction_has_the_least_loss(kind):
    """Any change e of it adds |e|^2: the cross term has mean 0, within 4 standard errors."""
    process, n = SCHEDULES["linear"], 50_000
    t, x0, z = batch(process, n)
    x = process.noised(t, x0, z)
    exact = convert(Mixture.ring().score(process)(t, x), x, t, process, source="score", target=kind)
    change = torch.cos(2 * x) * noise_weight(process, kind, t).sqrt()
    cross = ((exact - target(process, kind, t, x0, z)) * change).sum(-1)
    assert cross.mean().abs() < 4 * cross.std() / n**0.5
    assert cross.std() > 0.1                                   # the single terms are not small


def test_unknown_kinds_are_refused():
    t, x0, z = batch(SCHEDULES["VP"], 2)
    vp = SCHEDULES["VP"]
    for call in (lambda: target(vp, "x0", t, x0, z), lambda: noise_weight(vp, "x0", t)):
        with pytest.raises(ValueError, match="kind must be one of score, noise, data, velocity, got 'x0'"):
            call()
