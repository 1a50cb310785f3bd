"""The experiments under sliders: plain training, the exact curves, and frames at every knob."""
import numpy as np
import pytest
import torch
from experiment_laws import frames_are_finite_and_drawn, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.dynamics.deep_linear import (
    DepthDelay,
    ItemsAndProperties,
    LinearModes,
    ProductSpectrum,
    learning_time,
    network,
    signals,
    theory,
)
from nde_lab.dynamics.deep_linear.modes import orthonormal
from nde_lab.dynamics.deep_linear.tree import contrasts, modes, table
from nde_lab.experiment import last, run

CLASSES = (LinearModes, ItemsAndProperties, DepthDelay, ProductSpectrum)


@pytest.mark.parametrize("cls", CLASSES)
def test_any_knobs_give_finite_frames(cls):
    @settings(max_examples=10)
    @given(knobs=settings_of(cls, N=st.integers(1, 10)), seed=st.integers(0, 2**53 - 1))
    def check(knobs, seed):
        if cls is LinearModes and knobs["lr"] > 1:
            knobs["lr"] = 1.0                      # above, three steps may already diverge, by design
        if cls is LinearModes and not knobs["per_matrix"]:
            knobs["lr"] /= 10 if knobs["lr"] >= 0.2 else 1
        if cls is ItemsAndProperties and knobs["net"] != "one matrix":
            knobs["u0"] = min(knobs["u0"], 0.3)
        frames_are_finite_and_drawn(cls, knobs, seed)
    check()


@pytest.mark.parametrize("start", network.STARTS)
def test_the_live_network_is_plain_gradient_descent(start):
    made = run(LinearModes, {"start": start, "N": 3, "u0": 0.1, "lr": 0.2}, seed=4)
    data, weights = made._data, [W.double() for W in made.state["W"]]
    assert all(torch.equal(W, torch.eye(8).double()) for W in weights[3:])
    s = torch.exp(-torch.arange(5.0).double() / 4 * np.log(5.0))
    matrix = (data["U"][:, :5].double() * s) @ data["V"][:, :5].T.double()
    after, _ = network.descend(weights[:3], matrix, 0.2 / 3, 50)
    for _ in range(50):
        made.step()
    assert all(torch.allclose(a.float(), b, atol=1e-4) for a, b in zip(after, made.state["W"][:3], strict=True))


@pytest.mark.parametrize("N", [1, 2, 5])
def test_an_aligned_live_network_lies_on_its_exact_curves(N):
    frame = last(run(LinearModes, {"N": N, "u0": 0.05, "lr": 0.02}, seed=1))
    for i in range(1, 6):
        u = frame.history[f"u{i}"][:133]     # the last, at step 400, is between two of the curve
        assert np.abs(u - frame.arrays[f"curve{i}"][1:]).max() < 0.01


def test_too_large_a_rate_ends_as_diverged_and_says_what_to_do():
    frame = last(run(LinearModes, {"lr": 4.0}, seed=0))
    assert frame.status.kind == "diverged" and "lower the learning rate" in frame.status.sentence


def test_gram_schmidt_is_orthonormal():
    Q = orthonormal(network.sample({"x": network.Normal((7, 8, 8))}, seed=1, stream="start")["x"])
    assert torch.allclose(Q.transpose(1, 2) @ Q, torch.eye(8).expand(7, 8, 8), atol=1e-5)


def test_the_modes_of_the_tree_are_its_contrasts():
    U, s, V = modes()
    assert torch.allclose((U * s) @ V.T, table(), atol=1e-6)
    assert torch.allclose(s**2, torch.tensor([15.0, 7, 3, 3, 1, 1, 1, 1]), atol=1e-5)
    for frame in (U, V):
        assert torch.allclose(frame.T @ frame, torch.eye(8), atol=1e-6)
    assert set(contrasts().unique().tolist()) == {-1.0, 0.0, 1.0}


def test_one_matrix_learns_all_levels_at_once_two_do_not():
    """One matrix: every mode's share is 1 - (1 - λ)^k whatever its strength, from a start at 0."""
    history = last(run(ItemsAndProperties, {"net": "one matrix", "u0": 1e-5}, seed=2)).history
    expected = 1 - (1 - 0.02) ** np.maximum(history["step"] - 1, 0)
    for i in range(8):
        assert np.allclose(history[f"mode{i}"], expected, atol=1e-3)
    history = last(run(ItemsAndProperties, seed=2)).history
    half = [int(np.argmax(history[f"mode{i}"] > 0.5)) for i in range(8)]
    assert half[0] < half[1] < min(half[2:4]) and max(half[2:4]) < min(half[4:])


def test_the_finished_tree_puts_the_items_in_eight_even_places():
    frame = last(run(ItemsAndProperties, {"lr": 0.1}, seed=0))
    places = [frame.history[f"item{i}"][-1] for i in range(8)]
    assert np.allclose(places, [7, 5, 3, 1, -1, -3, -5, -7], atol=0.01)
    assert np.allclose(frame.arrays["out"], table().numpy(), atol=0.01)


@given(u0=st.floats(1e-3, 0.5), s=st.floats(0.6, 1.5))
def test_the_depth_figure_shows_the_integral(u0, s):
    arrays = run(DepthDelay, {"u0": u0, "s": s}).frame().arrays
    assert (arrays["times"] < arrays["infinite"][0]).all() or s > 1
    for N, got in zip(arrays["N"], arrays["times"], strict=True):
        assert got == pytest.approx(learning_time(s, u0, 0.9 * s, float(N)), rel=2e-3)
    assert arrays["infinite"][0] == pytest.approx(theory.infinite_depth_time(s, u0, 0.9 * s), rel=2e-3)


def test_the_figure_of_products_shows_their_stretches():
    arrays = run(ProductSpectrum, {"N": 7, "g": 1.1}).frame().arrays
    direct = torch.linalg.svdvals(signals.products("Gaussian", depth=7)[-1]) * 1.1**7
    assert np.allclose(arrays["Gaussian_s"], direct.numpy(), rtol=1e-4)
    assert np.allclose(arrays["orthogonal_s"], 1.1**7, rtol=1e-5)
    assert np.allclose(np.hypot(arrays["orthogonal_x"], arrays["orthogonal_y"]), 1.1**7, rtol=1e-5)


@pytest.mark.parametrize(("cls", "knobs", "says"), [
    (LinearModes, {"start": "he"}, "aligned"), (LinearModes, {"N": 2.5}, "whole number"),
    (LinearModes, {"u0": 0.0}, "1e-06 to 1"), (ItemsAndProperties, {"net": "three"}, "two matrices")])
def test_refusals(cls, knobs, says):
    with pytest.raises(ValueError, match=says):
        run(cls, knobs)
    with pytest.raises(ValueError, match="Gaussian or orthogonal"):
        signals.layer("he", 3, seed=0, index=0)
