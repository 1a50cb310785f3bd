"""The live experiments: what they draw agrees with the closed forms."""
import numpy as np
import pytest
import torch
from experiment_laws import frames_are_finite_and_drawn, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.dynamics.neural_tangent_kernel import (
    CircleNetworks,
    KernelDrift,
    KernelFlow,
    KernelSpectrum,
    ModeDecay,
    kernels,
)
from nde_lab.dynamics.neural_tangent_kernel.flow import gaussian_limit, percentile
from nde_lab.experiment import last, run


@pytest.mark.parametrize("cls", [CircleNetworks, ModeDecay, KernelDrift, KernelSpectrum])
@settings(deadline=None, max_examples=8)
@given(data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames_that_can_be_drawn(cls, data, seed):
    small = {"width": st.sampled_from(cls.fixed["width"].choices[:2])} if "width" in cls.fixed else {
        "depth": st.integers(1, 6)}
    frames_are_finite_and_drawn(cls, data.draw(settings_of(cls, **small)), seed)


@pytest.mark.parametrize("knobs", [{"width": 8}, {"width": 8, "act": "erf", "depth": 2, "beta": 0.5}])
def test_the_band_is_that_of_the_gaussian_limit(knobs):
    made = run(CircleNetworks, knobs, seed=0, steps=40)
    frame = last(made)
    data = {n: t.double() for n, t in made.experiment.data().items()}
    how = {"act": frame.knobs["act"], "depth": frame.knobs["depth"], "beta": frame.knobs["beta"]}
    sigma, theta = kernels(data["X"], **how)
    cross, Kx = kernels(data["x"], data["X"], **how)
    variance = kernels(data["x"], **how)[0].diagonal()
    flow = KernelFlow(theta, data["y"])
    # forty steps of descent with rate 1, as the time of a flow with the same shares
    A = torch.stack([KernelFlow(theta, e).after(40, 1.0, Kx) for e in torch.eye(4, dtype=torch.float64)], 1)
    assert np.allclose(frame.arrays["mean"], A @ data["y"], atol=1e-4)
    flow.propagator = lambda t, K=None: A
    mean, deviation = gaussian_limit(flow, 0.0, Kx, sigma, cross, variance)
    assert np.allclose(frame.arrays["low"], percentile(mean, deviation, 0.1), atol=2e-3)
    assert np.allclose(frame.arrays["high"], percentile(mean, deviation, 0.9), atol=2e-3)


def test_wide_networks_end_nearer_to_the_limit_than_narrow_ones():
    gaps = {}
    for width in (8, 128):
        frame = last(run(CircleNetworks, {"width": width}, seed=1, steps=200))
        gaps[width] = np.abs(frame.arrays["now"] - frame.arrays["limit"]).mean()
        assert frame.history["cost"][-1] < frame.history["cost"][0] / 5
    assert gaps[128] < gaps[8] / 2


def test_waves_are_learned_slow_ones_first_at_about_the_rates_of_the_limit():
    history = last(run(ModeDecay, {"width": 256}, seed=0, steps=30)).history
    assert history["left1"][-1] == pytest.approx((1 - 0.07690) ** 30, rel=1e-3)
    for k in (1, 2, 4):
        assert history[f"share{k}"][-1] == pytest.approx(history[f"left{k}"][-1], abs=0.1)
    assert history["share1"][-1] < history["share2"][-1] < history["share4"][-1]


def test_the_kernel_moves_more_in_a_narrow_network_and_for_large_targets():
    def change(**knobs):
        return last(run(KernelDrift, knobs, seed=0, steps=100)).history["kernel"][-1]
    narrow, wide, far = change(width=16), change(width=256), change(width=256, scale=8.0)
    assert narrow > 4 * wide and far > 3 * wide


@pytest.mark.parametrize(("depth", "beta"), [(1, 0.3), (2, 0.0), (5, 1.0)])
def test_the_spectrum_is_that_of_the_limit_kernel(depth, beta):
    frame = run(KernelSpectrum, {"depth": depth, "beta": beta}, seed=0).frame()
    angle = torch.as_tensor(frame.arrays["angle"]).double()
    x = torch.stack([angle.cos(), angle.sin()], 1)
    sigma, theta = kernels(x, torch.tensor([[1.0, 0.0]]).double(), depth=depth, beta=beta)
    assert np.allclose(frame.arrays["theta"], theta[:, 0], atol=2e-4)
    assert np.allclose(frame.arrays["sigma"], sigma[:, 0], atol=2e-4)
    whole = torch.linalg.eigvalsh(kernels(x, depth=depth, beta=beta)[1] / len(x)).flip(0)
    assert frame.arrays["rates"].max() == pytest.approx(float(whole[0]), rel=1e-3)
