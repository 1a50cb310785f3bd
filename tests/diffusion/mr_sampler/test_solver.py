"""MR samplers: every coefficient of mu, exactness where the prediction is constant, orders, moments,
refusals."""
import itertools

import pytest
import torch

from nde_lab.diffusion.dpm_solver import lambda_times
from nde_lab.diffusion.mr_sampler import (
    FORMS,
    KINDS,
    Deviation,
    MeanReverting,
    mr_solve,
    mr_step,
)
from nde_lab.diffusion.mr_sampler.claims import END, NOISE, PROCESS, reference, starts
from nde_lab.random import Normal, sample

T64 = torch.float64
X = torch.linspace(-2, 2, 9, dtype=T64)[:, None]
T, AFTER = torch.tensor(0.9, dtype=T64), torch.tensor(0.2, dtype=T64)
Z = torch.cos(5 * X)
ZERO = torch.zeros_like(X)


@pytest.mark.parametrize(("form", "z"), list(itertools.product(FORMS, (None, Z))))
def test_clean_data_that_equal_mu_leave_mu_and_noise_of_the_right_size(form, z):
    """x0 = mu: eps = (x - mu) / Sigma. The ODE keeps eps; the SDE gives N(mu, Sigma'^2) from N(mu, Sigma^2)."""
    d, mu = PROCESS.deviation, PROCESS.mu
    x = mu + d.std(T) * X
    q = X if form == "noise" else mu + ZERO
    made = mr_step(PROCESS, x, q, ZERO, T, AFTER, form=form, z=z)
    if z is None:
        assert torch.allclose(made, mu + d.std(AFTER) * X, atol=1e-12)
        return
    here = mr_step(PROCESS, x, q, ZERO, T, AFTER, form=form, z=ZERO)
    kept, added = ((here - mu) / X).nan_to_num()[0], ((made - here) / Z)[0]
    if form == "data":                    # the whole x-dependence is in ``kept``: variances add up exactly
        assert (kept**2 + added**2).item() == pytest.approx((d.std(AFTER) ** 2).item(), rel=1e-10)
    assert here[4].item() == pytest.approx(mu.item(), abs=1e-12)           # the middle row starts at mu


@pytest.mark.parametrize(("form", "sde"), list(itertools.product(FORMS, (False, True))))
def test_moving_the_origin_moves_the_step(form, sde):
    """All formulas in x are those of x - mu: shift x, mu and predicted data alike."""
    shift, z = 3.7, Z if sde else None
    q, change = torch.sin(X), 0.3 * torch.cos(X)
    moved = MeanReverting(PROCESS.mu + shift, PROCESS.deviation)
    a = mr_step(PROCESS, X, q, change, T, AFTER, form=form, z=z) + shift
    b = mr_step(moved, X + shift, q + (shift if form == "data" else 0), change, T, AFTER, form=form, z=z)
    assert torch.allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_a_prediction_linear_in_lambda_is_integrated_exactly(form):
    """The Taylor weights against a fine quadrature of the exact solution formula."""
    d, mu = PROCESS.deviation, PROCESS.mu
    l0, l1 = d.half_log_snr(T), d.half_log_snr(AFTER)
    lam = torch.linspace(l0, l1, 200_001, dtype=T64)
    q0, slope = 0.8, -0.35
    q = q0 + slope * (lam - l0) - (mu if form == "data" else 0)
    made = mr_step(PROCESS, X, torch.full_like(X, q0), torch.full_like(X, slope) * (l1 - l0), T, AFTER,
                   form=form)
    if form == "noise":
        part = -d.mean(AFTER) * torch.trapezoid(torch.exp(-lam) * q, lam)
        exact = mu + d.mean(AFTER) / d.mean(T) * (X - mu) + part
    else:
        part = d.std(AFTER) * torch.trapezoid(torch.exp(lam) * q, lam)
        exact = mu + d.std(AFTER) / d.std(T) * (X - mu) + part
    assert torch.allclose(made, exact, atol=1e-9)


def test_the_sde_form_in_data_prediction_integrates_a_linear_prediction_exactly():
    """With z = 0: Sigma' e^{-2 (l' - l)} weights, twice, on the data prediction of the deviation."""
    d, mu = PROCESS.deviation, PROCESS.mu
    l0, l1 = d.half_log_snr(T), d.half_log_snr(AFTER)
    lam = torch.linspace(l0, l1, 200_001, dtype=T64)
    q0, slope = 0.8, -0.35
    made = mr_step(PROCESS, X, torch.full_like(X, q0), torch.full_like(X, slope) * (l1 - l0), T, AFTER,
                   form="data",
                   z=ZERO)
    q = q0 + slope * (lam - l0) - mu
    part = 2 * d.mean(AFTER) * torch.trapezoid(torch.exp(-2 * (l1 - lam)) * q, lam)
    exact = mu + d.std(AFTER) / d.std(T) * torch.exp(l0 - l1) * (X - mu) + part
    assert torch.allclose(made, exact, atol=1e-9)


@pytest.mark.parametrize(("predicts", "form"), list(itertools.product(KINDS, FORMS)))
def test_what_the_network_predicts_makes_no_difference(predicts, form):
    def predict(t, x):
        return PROCESS.convert(NOISE(t, x), x, t, source="noise", target=predicts)
    times = lambda_times(PROCESS.deviation, 12, END)
    made = mr_solve(predict, PROCESS, starts(50), times, predicts=predicts, form=form)
    assert torch.allclose(made, mr_solve(NOISE, PROCESS, starts(50), times, form=form), atol=1e-10)


def test_one_evaluation_a_step_and_a_first_step_of_first_order():
    calls = []

    def predict(t, x):
        calls.append(float(t))
        return NOISE(t, x)
    times = lambda_times(PROCESS.deviation, 7, END)
    mr_solve(predict, PROCESS, starts(5), times)
    assert calls == pytest.approx(times[:-1].tolist())
    one = [mr_solve(NOISE, PROCESS, starts(5), times[:2], order=order) for order in (1, 2)]
    assert torch.equal(*one)


def test_steps_of_unequal_length_keep_the_second_order():
    """Times uniform in t are far from uniform in lambda: the ratio of steps must be in the formula."""
    off = [(mr_solve(NOISE, PROCESS, starts(), PROCESS.deviation.times(n, END, power=2.0)) - reference()
            ).abs().median().item() for n in (160, 320)]
    assert off[0] / off[1] == pytest.approx(4.0, abs=0.6)


def test_the_sde_forms_draw_one_bump_with_its_moments():
    """Clean data N(0.2, 0.3^2); the prediction is linear, 4000 samples, five standard errors and a bias of 2
    %."""
    from nde_lab.diffusion.mr_sampler.claims import exact_noise
    from nde_lab.diffusion.score_sde import Mixture
    noise = exact_noise(Mixture.of([0.2], 0.3), PROCESS)
    n, steps = 4000, 60
    drawn = sample({"x": Normal((n, 1)), "z": Normal((steps, n, 1))}, seed=1, stream="start", dtype=T64)
    times = lambda_times(PROCESS.deviation, steps, END)
    for form in FORMS:
        x = mr_solve(noise, PROCESS, PROCESS.prior(drawn["x"]), times, form=form, z=drawn["z"])
        assert abs(x.mean().item() - 0.2) < 5 * 0.3 / n**0.5 + 0.006
        assert abs(x.std().item() / 0.3 - 1) < 5 / (2 * n) ** 0.5 + 0.02


@pytest.mark.parametrize(("named", "words"), [
    ({"order": 3}, "orders 1 and 2, got 3"), ({"order": True}, "orders 1 and 2, got True"),
    ({"form": "velocity"}, "one of noise, data, got 'velocity'"), ({"predicts": "score"}, "got 'score'"),
    ({"times": torch.ones(1)}, "1-d tensor of at least two"),
    ({"z": torch.zeros(3, 9, 1)}, r"need z of shape \(5, 9, 1\), got \(3, 9, 1\)")])
def test_refusals(named, words):
    named = {"times": lambda_times(Deviation(), 5, END)} | named
    with pytest.raises(ValueError, match=words):
        mr_solve(NOISE, PROCESS, X, **named)
