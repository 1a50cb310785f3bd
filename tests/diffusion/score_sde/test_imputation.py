"""Imputation: known coordinates stay, its law on two normals, the closed limit, what repairs it, refusals."""
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.diffusion.score_sde import OU, VE, VP, SubVP, euler_sample
from nde_lab.diffusion.score_sde.imputation import (
    imputation_is_biased,
    impute,
    inpaint,
    law_of_imputation,
    limit_of_imputation,
    renoise,
    reverse_step,
)
from nde_lab.random import Normal, sample

PROCESSES = [VP(), SubVP(), OU(), VE(high=10.0)]


def pair_score(process, rho):
    """The exact score of two unit normals with correlation rho, noised."""
    def of(t, x):
        m, s = process.mean(t), process.std(t)
        size, both = m * m + s * s, m * m * rho
        a, b = x[:, :1], x[:, 1:]
        return -torch.cat([size * a - both * b, size * b - both * a], -1) / (size * size - both * both)
    return of


def drawn(steps, passes, n, seed=0):
    shape = (steps, passes, n, 2)
    return sample({"x": Normal((n, 2)), "known": Normal(shape), "step": Normal(shape), "again": Normal(shape)},
                  seed=seed, stream="start", dtype=torch.float64)


@pytest.mark.parametrize("passes", [1, 3])
def test_the_sampler_has_the_law_that_the_recursion_says(passes):
    n, steps, rho, y, process = 20000, 40, 0.8, 1.0, VP()
    noise = drawn(steps, passes, n)
    made = inpaint(process, pair_score(process, rho), noise["x"], process.times(steps, power=2.0),
                   torch.tensor([[y, 9.0]], dtype=torch.float64).expand(n, 2),
                   torch.tensor([1.0, 0.0], dtype=torch.float64), noise)
    assert torch.equal(made[:, 0], torch.full((n,), y, dtype=torch.float64))
    mean, variance = law_of_imputation(rho, y, passes=passes, steps=steps)
    assert abs(made[:, 1].mean().item() - mean) < 5 * math.sqrt(variance / n)
    assert abs(made[:, 1].var().item() / variance - 1) < 5 * math.sqrt(2 / n)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_short_steps_tend_to_one_limit_for_every_process(process):
    found = law_of_imputation(0.8, 1.5, steps=2000, process=process)
    assert found == pytest.approx(limit_of_imputation(0.8, 1.5), abs=6e-3)


@given(rho=st.floats(0.05, 0.98), y=st.floats(-3, 3))
def test_the_limit_loses_between_none_and_half_of_the_mean(rho, y):
    mean, variance = limit_of_imputation(rho, y)
    assert 0.5 * abs(rho * y) - 1e-12 <= abs(mean) <= abs(rho * y) + 1e-12
    assert 1 - rho**2 <= variance <= 1


def test_passes_and_the_exact_gradient_repair_it():
    off = [abs(law_of_imputation(0.8, passes=p)[0] - 0.8) for p in (1, 2, 5, 20)]
    assert all(b < 0.7 * a for a, b in zip(off[:-1], off[1:], strict=True))
    assert law_of_imputation(0.8, exact=True) == pytest.approx((0.8, 0.36), abs=2e-3)


def test_without_a_known_coordinate_it_is_the_plain_sampler():
    noise, process = drawn(30, 1, 50), SubVP()
    score, times = pair_score(process, 0.5), process.times(30)
    made = inpaint(process, score, noise["x"], times, torch.zeros(50, 2), torch.zeros(2), noise)
    torch.testing.assert_close(made, euler_sample(process, score, noise["x"], times, noise["step"][:, 0]))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_renoising_continues_the_forward_kernel(process):
    before, t = torch.tensor(0.2, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    x, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    ratio = renoise(process, before, t, one, x).item()
    extra = renoise(process, before, t, x, one).item()
    assert ratio * process.mean(before).item() == pytest.approx(process.mean(t).item())
    total = ratio**2 * process.std(before).item()**2 + extra**2
    assert total == pytest.approx(process.std(t).item()**2)


def test_only_masked_coordinates_are_overwritten_and_the_last_step_is_silent():
    process, t = VP(), torch.tensor(0.4)
    x, z = torch.ones(3, 2), torch.ones(3, 2)
    made = impute(process, t, x, torch.zeros(3, 2), torch.tensor([1.0, 0.0]), z)
    torch.testing.assert_close(made, torch.stack([process.std(t).expand(3), torch.ones(3)], 1))
    steps = [reverse_step(process, pair_score(process, 0.0), t, t - 0.1, x, k * z, last=True) for k in (0, 1)]
    assert torch.equal(*steps)


def test_noise_of_another_shape_is_refused():
    noise = drawn(4, 1, 5)
    with pytest.raises(ValueError, match=r"5 steps from x of shape \(5, 2\) need noise\['known'\]"):
        inpaint(VP(), pair_score(VP(), 0.5), noise["x"], VP().times(5), torch.zeros(5, 2), torch.ones(2), noise)


def test_claim():
    verdict = imputation_is_biased()
    assert verdict.holds, verdict
