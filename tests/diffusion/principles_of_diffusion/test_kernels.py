"""The way back: Bayes' rule, the chain of marginals, and what a wrong guess costs."""
import pytest
import torch

from nde_lab.diffusion.principles_of_diffusion import SCHEDULES, ancestral_step, reverse_kernel, snr, step_kl
from nde_lab.diffusion.principles_of_diffusion.kernels import back
from nde_lab.random import Normal, sample

T64 = torch.float64
each = pytest.mark.parametrize("process", SCHEDULES.values(), ids=SCHEDULES)


@each
def test_bayes_rule(process):
    """p(x_r | x0) p(x_t | x_r) as a function of x_r has the same slope as the way back's log density."""
    t, r, x, x0 = 0.7, 0.4, torch.tensor([[0.8]], dtype=T64), torch.tensor([[-1.3]], dtype=T64)
    at, to = process.coefficients(t), process.coefficients(r)
    q = at.mean / to.mean
    between = at.std**2 - (q * to.std)**2
    law = reverse_kernel(process, t, r, x, x0)
    for x_r in (-1.0, 0.3, 2.0):
        by_hand = (to.mean * x0 - x_r) / to.std**2 + q * (x - q * x_r) / between
        assert ((law.mean - x_r) / law.variance).item() == pytest.approx(by_hand.item(), rel=1e-10)


@each
def test_two_steps_back_are_one(process):
    """Averaged over the middle, p(x_q | x_r, x0) p(x_r | x_t, x0) is p(x_q | x_t, x0)."""
    one, two, all_ = back(process, 0.8, 0.5), back(process, 0.5, 0.2), back(process, 0.8, 0.2)
    assert (two.state * one.state).item() == pytest.approx(all_.state.item(), rel=1e-10)
    assert (two.state * one.data + two.data).item() == pytest.approx(all_.data.item(), rel=1e-10)
    assert (two.state**2 * one.variance + two.variance).item() == pytest.approx(all_.variance.item(), rel=1e-10)


@each
def test_at_the_data_the_way_back_is_the_guess(process):
    law = reverse_kernel(process, 0.5, 0.0, torch.ones(1, 1, dtype=T64), torch.full((1, 1), 3.0, dtype=T64))
    assert law.mean.item() == pytest.approx(3.0) and law.variance.item() == 0.0


@each
def test_the_price_telescopes(process):
    """A constant error costs (SNR(first) - SNR(last)) / 2 times its square, in however many steps."""
    x0 = torch.zeros(1, 2, dtype=T64)
    for steps in (1, 7):
        times = torch.linspace(0.9, 0.1, steps + 1, dtype=T64)
        bill = sum(step_kl(process, t, r, x0, x0 + 0.1).item()
                   for t, r in zip(times[:-1], times[1:], strict=True))
        ends = 0.5 * (snr(process, 0.1) - snr(process, 0.9)).item() * 0.02
        assert bill == pytest.approx(ends, rel=1e-10)


def test_the_bound_becomes_an_integral_of_the_snr():
    """For an error 0.2 t the sum tends to -1/2 integral SNR' e^2 dt, at order 1 in the step."""
    process, x0 = SCHEDULES["linear"], torch.zeros(1, 1, dtype=T64)

    def bill(n):
        times = torch.linspace(0.9, 0.2, n + 1, dtype=T64)
        return sum(step_kl(process, t, r, x0, x0 + 0.2 * t).item()
                   for t, r in zip(times[:-1], times[1:], strict=True))
    t = torch.linspace(0.2, 0.9, 20001, dtype=T64)
    exact = 0.5 * torch.trapezoid(2 * (1 - t) / t**3 * (0.2 * t)**2, t).item()      # -SNR' = 2 (1 - t) / t^3
    off = [bill(n) - exact for n in (50, 100)]
    assert abs(off[0]) < 0.05 * exact and off[0] / off[1] == pytest.approx(2.0, rel=0.05)


@each
def test_the_hierarchy_walks_back_to_the_data_that_it_is_told(process):
    """With the true x0 as the guess, 30 ancestral steps from p(x_T | x0) give the law p(x_r | x0)."""
    n, times = 20_000, torch.linspace(0.9, 0.3, 31, dtype=T64)
    drawn = sample({"x": Normal((n, 1)), "z": Normal((30, n, 1))}, seed=0, stream="s", dtype=T64)
    x0 = torch.full((n, 1), 1.5, dtype=T64)
    x = process.noised(times[0], x0, drawn["x"])
    for t, r, z in zip(times[:-1], times[1:], drawn["z"], strict=True):
        x = ancestral_step(process, t, r, x, x0, z)
    to = process.coefficients(0.3)
    assert (x.mean() - 1.5 * to.mean).abs() < 4 * to.std / n**0.5
    assert (x.std() / to.std - 1).abs() < 4 / (2 * n)**0.5


def test_the_order_of_times_is_checked():
    with pytest.raises(ValueError, match="earlier time r < t; got t = 0.3, r = 0.5"):
        back(SCHEDULES["VP"], 0.3, 0.5)
