"""The live chains: denoising with a number of steps that is a knob, handing over, and what the knobs change."""
import pytest
import torch

from nde_lab.diffusion.denoising_mcmc import denoise, score_at
from nde_lab.diffusion.denoising_mcmc.chains import DenoisingChains, heun_from
from nde_lab.diffusion.score_sde import Mixture
from nde_lab.experiment import Run, last, run

T64 = torch.float64
SCORE = score_at(Mixture.ring(8, 4.0, 0.2))


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_number_of_steps_that_is_a_tensor_gives_the_same(steps):
    made = torch.Generator().manual_seed(0)
    x, sigma = 4 * torch.randn(30, 2, generator=made, dtype=T64), 0.05 + torch.rand(30, 1, generator=made,
                                                                                    dtype=T64)
    found = heun_from(SCORE, x, sigma, torch.tensor(float(steps), dtype=T64), 4)
    assert torch.allclose(found, denoise(SCORE, x, sigma, 2 * steps + 1), atol=1e-9)


def test_every_n_skip_turns_the_calmest_state_is_handed_over():
    made = Run(DenoisingChains, {"n_skip": 3}, seed=2)
    for _ in range(2):
        seen = []
        for turn in range(3):
            before = made.state["picked_sigma"]
            made.step()
            seen.append(made.state["sigma"])
            changed = not torch.equal(before, made.state["picked_sigma"])
            assert changed == (turn == 2)
        assert torch.equal(made.state["picked_sigma"], torch.stack(seen).amin(0))


def test_a_low_ceiling_keeps_the_chains_in_their_mode_and_a_high_one_does_not():
    shares = [last(run(DenoisingChains, {"sigma_max": top}, seed=0)).arrays["share"] for top in (0.5, 10.0)]
    assert shares[0][0] == 2.0 and shares[0][3:6].max() == 0.0        # cut off at 2; the far side is empty
    assert shares[1].min() > 0.4 and shares[1].max() < 1.8


def test_the_most_probable_level_sharpens_and_does_not_mix():
    frame = last(run(DenoisingChains, {"level": "most probable"}, seed=0))
    assert frame.arrays["inside"][0] > 0.95 and frame.arrays["share"][0] == 2.0
