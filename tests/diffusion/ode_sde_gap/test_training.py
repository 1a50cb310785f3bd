"""Training: the loss at the exact potential, models that do not disturb each other, determinism."""
import pytest
import torch

from nde_lab.diffusion.ode_sde_gap import training as tr
from nde_lab.diffusion.ode_sde_gap.potential import Potential
from nde_lab.diffusion.ode_sde_gap.process import OU, Mixture
from nde_lab.random import sample

NET, OU1, MIXTURE = Potential(8), OU(), Mixture()


def noise(updates, seed=0):
    return sample(tr.batch_draws(MIXTURE, updates), seed=seed, stream="step")


def start(models, seed=0):
    return tr.start_state(NET, sample(NET.draws, seed=seed, stream="start"), models)


def train(weights, *, rounds=4):
    state = start(len(weights))
    for k in range(rounds):
        state, means = tr.updates(NET, OU1, MIXTURE, state, noise(25, seed=k), weights=torch.tensor(weights),
                                  lr=3e-3, total=25 * rounds)
    return state, means


def test_the_denoising_loss_has_the_true_score_as_its_minimum():
    """For one Gaussian the score is linear; of its multiples the factor 1 is best, and leaves 1 - sigma^2 / v."""
    mixture, t = Mixture((0.0,), 0.5), torch.tensor(0.3)
    sigma, v = OU1.std(t), 0.25 * OU1.mean(t) ** 2 + OU1.std(t) ** 2
    z = sample(tr.batch_draws(mixture, 40), seed=1, stream="step")
    x = OU1.mean(t) * mixture.sample(z["which"], z["data_z"]) + sigma * z["z"]
    loss = {c: float((sigma * (-c * x / v) + z["z"]).square().mean()) for c in (0.7, 1.0, 1.3)}
    assert loss[1.0] < min(loss[0.7], loss[1.3])
    assert loss[1.0] == pytest.approx(float(1 - sigma**2 / v), rel=0.05)


def test_models_side_by_side_are_the_models_alone():
    both, _ = train([0.0, 1.0], rounds=2)
    for i, w in enumerate((0.0, 1.0)):
        alone, _ = train([w], rounds=2)
        for n in NET.shapes:
            assert torch.allclose(both[n][i], alone[n][0], atol=2e-4), n


def test_equal_weights_stay_equal_and_different_ones_part():
    same, _ = train([0.5, 0.5], rounds=2)
    assert all(torch.equal(same[n][0], same[n][1]) for n in NET.shapes)
    other, _ = train([0.0, 0.5], rounds=2)
    assert any(not torch.equal(other[n][0], other[n][1]) for n in NET.shapes)


def test_training_lowers_what_it_is_told_to_lower():
    # The start, phi = -x^2, is the stationary law and has no residual at all: learning the data brings it in.
    begun = tr.losses(NET, start(2), OU1, noise(1) | {"x0": torch.zeros(1, tr.BATCH)})[1]
    _, means = train([0.0, 1.0], rounds=12)
    assert means["residual"][1] < 0.05 * means["residual"][0] and means["residual"][0] > begun[0]
    assert means["denoising"][0] < means["denoising"][1]         # the penalty has its price


def test_the_rate_ends_at_zero():
    state, _ = train([0.0], rounds=1)
    later, _ = tr.updates(NET, OU1, MIXTURE, state, noise(25, seed=9), weights=torch.tensor([0.0]), lr=3e-3,
                          total=25)
    assert all(torch.allclose(later[n], state[n], atol=1e-7) for n in NET.shapes)
    assert list(later) == list(state) and float(later["adam.count"]) == 50


def test_declared_draws_cover_their_ranges():
    made = noise(8)
    assert float(made["box"].min()) >= -tr.BOX and float(made["box"].max()) < tr.BOX
    assert set(made["which"].unique().tolist()) == {0, 1, 2}
    t = OU1.clock(made["u"])
    assert float(t.min()) >= OU1.end and float(t.max()) <= OU1.horizon
