"""The mis-scaled Gaussian: closed forms against their differential equations, its experiment at every knob."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.ode_sde_gap import gaussian
from nde_lab.diffusion.ode_sde_gap.gaussian import MisscaledScore
from nde_lab.experiment import last, run
from nde_lab.views import still

T64 = torch.float64


def tensors(*values):
    return [torch.tensor(v, dtype=T64) for v in values]


@settings(deadline=None, max_examples=40)
@given(kappa=st.floats(0.3, 2.0) | st.just(0.5), v0=st.floats(0.05, 3.0), t=st.floats(0.0, 2.9))
def test_variances_solve_their_equations(kappa, v0, t):
    h, made = 1e-5, dict(zip(("kappa", "v0"), tensors(kappa, v0), strict=True))
    now, up, down = tensors(t, t + h, t - h)
    v = gaussian.variance(now, made["v0"])
    ode, sde = (f(now, T=3.0, **made) for f in (gaussian.ode_variance, gaussian.sde_variance))
    for f, rate in ((gaussian.ode_variance, -2 * ode + kappa * ode / v),
                    (gaussian.sde_variance, -2 * (1 - kappa / v) * sde - 1)):
        slope = (f(up, T=3.0, **made) - f(down, T=3.0, **made)) / (2 * h)
        # A third derivative grows like 1/v^3 times the value.
        assert float((slope - rate).abs()) < 1e-6 * (1 + float(rate.abs())) / min(v0, 1.0)
    start = tensors(3.0)[0]
    assert float(gaussian.ode_variance(start, T=3.0, **made)) == pytest.approx(0.5)
    assert float(gaussian.sde_variance(start, T=3.0, **made)) == pytest.approx(0.5)


def test_the_special_value_one_half_joins_smoothly():
    t, v0 = tensors(0.1, 0.3)
    for near in (0.5 - 6e-5, 0.5 - 4e-5, 0.5 + 4e-5, 0.5 + 6e-5):
        a, b = (float(gaussian.sde_variance(t, T=3.0, kappa=torch.tensor(k, dtype=T64), v0=v0))
                for k in (near, 0.5))
        assert a == pytest.approx(b, rel=2e-3)
    left, right = (float(gaussian.sde_variance(t, T=3.0, kappa=torch.tensor(0.5 + s, dtype=T64), v0=v0))
                   for s in (0.99e-4 / 2, 1.01e-4 / 2))
    assert left == pytest.approx(right, rel=2e-5)


def test_the_right_score_from_the_right_start_gives_the_data():
    """v0 = 1/2 is stationary: pi is the law at every time."""
    t, one, v0 = tensors(0.0, 1.0, 0.5)
    for f in (gaussian.ode_variance, gaussian.sde_variance):
        assert float(f(t, T=3.0, kappa=one, v0=v0)) == pytest.approx(0.5, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(kappa=st.floats(0.4, 2.0), v0=st.floats(0.05, 3.0), T=st.floats(0.5, 5.0))
def test_the_bound_is_never_beaten(kappa, v0, T):
    t, k, v = tensors(0.0, kappa, v0)
    ode, sde = (float(f(t, T=T, kappa=k, v0=v).sqrt()) for f in (gaussian.ode_variance, gaussian.sde_variance))
    assert abs(ode - sde) <= gaussian.bound_w2(T=T, kappa=kappa, v0=v0) * (1 + 1e-4) + 1e-9


def test_the_model_density_is_normalised():
    x = torch.linspace(-8, 8, 4001, dtype=T64)
    kappa, v0, t = tensors(1.3, 0.2, 0.4)
    p = gaussian.potential(x[:, None], t.expand(4001), kappa=kappa, v0=v0).exp()
    assert float(torch.trapezoid(p, x)) == pytest.approx(1)
    assert float(torch.trapezoid(p * x**2, x)) == pytest.approx(float(gaussian.variance(t, v0) / kappa))


@settings(deadline=None, max_examples=12)
@given(kappa=st.floats(0.6, 1.4), v0=st.floats(0.05, 2.0), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames(kappa, v0, seed):
    for frame in run(MisscaledScore, {"kappa": kappa, "v0": v0}, seed=seed):
        assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))
    assert frame.status.kind == "finished" and frame.history["t"][-1] == pytest.approx(1e-3)


def test_the_figure_draws_bells_of_the_stated_widths():
    frame = last(run(MisscaledScore, {"kappa": 1.4}))
    x, dx = frame.arrays["x"], frame.arrays["x"][1] - frame.arrays["x"][0]
    for name in ("ode", "sde"):
        assert (frame.arrays[name] * x**2).sum() * dx == pytest.approx(frame.history[name][-1], rel=1e-2)
    middle = len(frame.arrays["line"]) // 2                  # kappa = 1: both right, up to the start's error
    assert frame.arrays["ratio_ode"][middle] == pytest.approx(1, abs=2e-3)
    assert frame.arrays["ratio_sde"][middle] == pytest.approx(1, abs=2e-3)
    off = np.abs(frame.arrays["line"] - 1) > 0.02
    logs = {n: np.abs(np.log(frame.arrays[f"ratio_{n}"][off])) for n in ("ode", "sde")}
    assert (logs["sde"] < logs["ode"]).all()                     # noise forgives
    assert frame.history["w2"][-1] == pytest.approx(
        (math.sqrt(frame.history["ode"][-1]) - math.sqrt(frame.history["sde"][-1])) ** 2, rel=1e-4)
    assert len(still(MisscaledScore().view(), frame).axes) == 2
    assert MisscaledScore().view().observables() <= set(frame.arrays)
