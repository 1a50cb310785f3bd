"""The network's head start, the tiles, the weights in 8 bits, distances: laws that hold for any weights."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.data import load_digits
from nde_lab.diffusion.score_sde import VP, dsm_loss
from nde_lab.diffusion.score_sde.digits.network import class_logits, network, noise_prediction, training_basis
from nde_lab.diffusion.score_sde.digits.quality import confident, frechet, to_nearest
from nde_lab.diffusion.score_sde.digits.tiles import places, side_by_side, tile_panel
from nde_lab.diffusion.score_sde.digits.training import training_times
from nde_lab.diffusion.score_sde.digits.weights import packed, restored, stored
from nde_lab.random import Normal, sample


def silent(seen, clock):
    """A network that has learned nothing."""
    return torch.zeros_like(seen)


def test_the_basis_diagonalises_the_training_pictures():
    basis, (train, _) = training_basis(), load_digits()
    u = basis.centred(train.pixels)
    torch.testing.assert_close(basis.axes.T @ basis.axes, torch.eye(64), atol=1e-5, rtol=0)
    assert u.mean(0).abs().max() < 1e-5
    along = u @ basis.axes
    covariance = along.T @ along / len(u)
    torch.testing.assert_close(covariance, torch.diag(basis.stds**2), atol=2e-3, rtol=0)
    torch.testing.assert_close(basis.pixels(u), train.pixels)
    assert (basis.stds[:-1] >= basis.stds[1:]).all()


@pytest.mark.parametrize("t", [0.01, 0.3, 0.9])
def test_without_learning_it_is_the_exact_score_of_the_gaussian_fit(t):
    basis, process, t = training_basis(), VP(), torch.tensor(t)
    u = sample({"u": Normal((5, 64))}, seed=0, stream="start")["u"]
    covariance = basis.axes @ torch.diag(basis.stds**2) @ basis.axes.T
    whole = process.mean(t)**2 * covariance.double() + process.std(t)**2 * torch.eye(64, dtype=torch.float64)
    score = -torch.linalg.solve(whole, u.double().T).T
    found = -noise_prediction(silent, basis, process, t, u) / process.std(t)
    torch.testing.assert_close(found.double(), score, rtol=1e-3, atol=1e-3)


def test_the_network_fades_in_noise_and_its_clock_stands_still_outside_its_levels():
    basis, seen = training_basis(), []

    def loud(inputs, clock):
        seen.append(clock.flatten()[0].item())
        return torch.ones_like(inputs)
    u = torch.zeros(1, 64)
    size = [noise_prediction(loud, basis, VP(), torch.tensor(t), u).norm().item() for t in (0.5, 0.8, 1.0)]
    noise_prediction(loud, basis, VP(), torch.tensor(1e-3), u)
    assert size[1] < 0.1 * size[0] and size[2] < 3e-3 * size[0]
    assert seen[1] == seen[2] == pytest.approx(-1.0) and seen[3] == pytest.approx(1.65)


def test_the_stored_score_beats_the_gaussian_fit_on_unseen_pictures():
    basis, (_, test), weights = training_basis(), load_digits(), restored(stored())
    drawn = sample({"z": Normal((397, 64))}, seed=0, stream="probe")
    t = training_times(torch.tensor([0.5]), 397)
    net = network(160, 3)

    def loss(apply):
        return dsm_loss(lambda t, u: -noise_prediction(apply, basis, VP(), t, u) / VP().std(t), VP(),
                        basis.centred(test.pixels), t, drawn["z"]).item()
    assert loss(lambda *i: net.apply(weights, *i)) < 0.8 * loss(silent)


def test_rows_do_not_mix():
    basis, net = training_basis(), network(16, 2, 10)
    drawn = sample(net.draws | {"u": Normal((6, 64))}, seed=1, stream="start")
    params, u, t = net.init(drawn), drawn["u"], torch.linspace(0.1, 0.9, 6)[:, None]
    whole = class_logits(lambda *i: net.apply(params, *i), basis, VP(), t, u)
    alone = [class_logits(lambda *i: net.apply(params, *i), basis, VP(), t[[k]], u[[k]]) for k in range(6)]
    torch.testing.assert_close(whole, torch.cat(alone))


def test_training_times_are_stratified_over_the_noise_levels():
    level = VP().half_log_snr(training_times(torch.tensor([0.25], dtype=torch.float64), 100))[:, 0]
    torch.testing.assert_close(level, -2 + 5.3 * (torch.arange(100, dtype=torch.float64) + 0.25) / 100)


def test_tiles_put_the_first_picture_at_the_top_left_upright():
    pictures = torch.arange(4 * 64.0).reshape(4, 64) + 1
    made = tile_panel(pictures, places(2, 2), 2)
    assert made.shape == (17, 17) and len(side_by_side(2)) == 17
    assert torch.equal(made[-1, :8], pictures[0, :8])             # a heat map's last row is its top
    assert torch.equal(made.flip(0)[9:17, :8], pictures[2].reshape(8, 8))
    assert made[8].eq(0).all() and made[:, 8].eq(0).all()
    assert made.sum() == pictures.sum()


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), scale=st.floats(1e-6, 1e4))
def test_eight_bits_are_off_by_half_a_step_at_most(rows, columns, scale):
    w = scale * sample({"w": Normal((rows, columns))}, seed=rows, stream="start")["w"]
    params = {"net.a": w, "net.b": w[0], "judge.a": w}
    data = packed(params)
    back = restored(data)
    for name, v in params.items():
        step = v.abs().amax(-1, keepdim=True) / 127
        assert ((back[name] - v).abs() <= 0.501 * step + 1e-12).all()
        assert data[f"q.{name}"].min() >= 1 and data[f"q.{name}"].max() <= 255
    assert set(restored(data, "judge.")) == {"judge.a"}


def test_frechet_of_gaussians_is_their_wasserstein_distance():
    a = sample({"a": Normal((4000, 3))}, seed=0, stream="start", dtype=torch.float64)["a"]
    a = (a - a.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(a.T))).T    # moments exactly 0, 1
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-8)
    assert frechet(a, a + torch.tensor([3.0, 0.0, 4.0])) == pytest.approx(25.0)
    scales = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    assert frechet(a, a * scales) == pytest.approx((scales - 1).square().sum().item())
    rotated, _ = torch.linalg.qr(torch.arange(9.0, dtype=torch.float64).reshape(3, 3) ** 1.5 + torch.eye(3))
    assert frechet(a @ rotated, a * scales @ rotated) == pytest.approx(frechet(a, a * scales))


def test_frechet_refuses_and_the_small_measures_measure():
    with pytest.raises(ValueError, match="at least two rows"):
        frechet(torch.zeros(1, 3), torch.zeros(5, 3))
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert np.allclose(to_nearest(torch.tensor([[0.0, 1.0], [3.0, 4.0]]), x), [1.0, 0.0])
    sure = torch.tensor([[math.log(0.95), math.log(0.05)], [0.0, 0.0]])
    assert confident(sure) == 0.5 and confident(sure, 0.4) == 1.0
