"""Denoising score matching: zero where it must be, its weights, and its minimiser."""
import pytest
import torch

from nde_lab.diffusion.score_sde import OU, VE, VP, Mixture, SubVP, dsm_loss, early_times
from nde_lab.diffusion.score_sde.matching import WEIGHTS
from nde_lab.random import Normal, Uniform, sample

ALL = [VE(high=10.0), VP(), SubVP(), OU()]
T64 = torch.float64
name = lambda p: type(p).__name__  # noqa: E731


def batch(n, d, seed=0):
    return sample({"u": Uniform((n,)), "t": Uniform((n, 1), 0.05, 0.95), "z": Normal((n, d)),
                   "w": Normal((n, d))}, seed=seed, stream="start", dtype=T64)


@pytest.mark.parametrize("process", ALL, ids=name)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_data_of_one_point_has_no_loss_at_its_score(process, weight):
    """Then x_t tells the noise that was added: the score is -z / s."""
    b, point = batch(32, 2), torch.tensor([0.5, -1.0], dtype=T64)

    def score(t, x):
        return -(x - process.mean(t) * point) / process.std(t)**2
    args = (process, point.expand(32, 2), b["t"], b["z"])
    assert dsm_loss(score, *args, weight=weight) < 1e-18
    assert dsm_loss(lambda t, x: 1.1 * score(t, x), *args, weight=weight) > 1e-3


@pytest.mark.parametrize("process", ALL, ids=name)
def test_the_weights(process):
    b = batch(1, 2)
    t, values = b["t"], {w: dsm_loss(lambda t, x: torch.sin(x), process, b["w"], b["t"], b["z"], weight=w)
                         for w in WEIGHTS}
    x = process.mean(t) * b["w"] + process.std(t) * b["z"]
    plain = (torch.sin(x) + b["z"] / process.std(t)).square().sum()
    assert torch.allclose(values["plain"], plain)
    assert torch.allclose(values["noise"], plain * process.std(t).square().squeeze())
    assert torch.allclose(values["likelihood"], plain * process.g2(t).squeeze())


@pytest.mark.parametrize("process", ALL, ids=name)
def test_the_exact_score_beats_its_neighbours(process):
    """DSM is the distance to the exact score plus a constant, so that score has the least loss."""
    mixture, b = Mixture.ring(), batch(20_000, 2)
    x0, exact = mixture.draw(b["u"], b["w"]), mixture.score(process)
    wrong = ((1.0, 0.0), (0.9, 0.0), (1.1, 0.0), (1.0, 0.1), (1.0, -0.1))         # factor, shift of the noise
    losses = [dsm_loss(lambda t, x, f=f, shift=shift: f * exact(t, x) + shift / process.std(t), process, x0,
                       b["t"], b["z"]) for f, shift in wrong]
    assert losses[0] == min(losses)


def test_training_times_stay_in_the_schedule():
    u = torch.linspace(0, 1, 11)[:, None]
    t = early_times(u, OU(), end=0.01, power=2.0)
    assert t[0].item() == pytest.approx(0.01) and t[-1] == 3 and t[5].item() == pytest.approx(0.01 + 2.99 / 4)


def test_an_unknown_weight_is_refused():
    with pytest.raises(ValueError, match="weight must be one of noise, likelihood, plain, got 'elbo'"):
        dsm_loss(None, VP(), None, None, None, weight="elbo")
