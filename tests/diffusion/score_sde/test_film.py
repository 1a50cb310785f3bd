"""The film: its forward half has the laws of the process, its way back makes data again."""
import numpy as np
import pytest
import torch

from nde_lab.diffusion.score_sde import Mixture
from nde_lab.diffusion.score_sde.film import HERE, Film
from nde_lab.experiment import Run, run

RING = Mixture.ring()


def at(process, step, **knobs):
    made = Run(Film, {"process": process, **knobs}, steps=max(step, 1))
    for _ in range(step):
        made.advance()
    return made


@pytest.mark.parametrize("process", HERE)
@pytest.mark.parametrize("step", [20, 80])
def test_the_forward_half_draws_from_the_kernel(process, step):
    """At step j the time is (j / N)^2; each mode is normal about m mu with variance m^2 c^2 + s^2."""
    x = at(process, step).state["x"].reshape(-1, 5, 2).double()
    m, s = (f((step / Film.N)**2).item() for f in (HERE[process].mean, HERE[process].std))
    width = (0.04 * m * m + s * s)**0.5
    assert (x.mean(0) - m * RING.means).abs().max() < 4.5 * width / len(x)**0.5
    off = x - m * RING.means
    assert off.std().item() == pytest.approx(width, rel=4.5 / (2 * off.numel())**0.5)


@pytest.mark.parametrize("process", HERE)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_way_back_ends_in_the_data(process, noise):
    k, off = RING.nearest(at(process, 2 * Film.N, noise=noise).state["x"].double())
    assert off.std().item() == pytest.approx(0.2, rel=0.12)
    share = torch.bincount(k, minlength=5).double() / len(k)
    assert (share - 0.2).abs().max() < 0.08, "4.5 standard errors of a share of 500"


def test_points_do_not_return_to_their_own_mode():
    own = at("VP", 2 * Film.N).state["x"].reshape(-1, 5, 2)[:, 0].double()
    assert len(set(RING.nearest(own)[0].tolist())) == 5


def test_without_noise_the_way_back_is_smooth():
    def wiggle(noise):
        track = at("VP", 2 * Film.N, noise=noise).state["track"][Film.N:]
        return (track[2:] - 2 * track[1:-1] + track[:-2]).abs().mean().item()
    assert wiggle(0.0) < 0.2 * wiggle(1.0)


@pytest.mark.parametrize("process", HERE)
def test_every_frame_is_finite_and_the_view_finds_its_arrays(process):
    names = Film(process=process).view().observables()
    for frame in run(Film, {"process": process}):
        assert names <= set(frame.arrays) and all(np.isfinite(a).all() for a in frame.arrays.values())
    assert frame.status.kind == "finished"
    u, v = frame.arrays["u"], frame.arrays["v"]
    assert (u * u + v * v < 1).all(), "arrows are cut softly"
