"""Laws of the scores, distances, bands and slopes."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from nde_lab.metrics import (
    accuracy,
    bootstrap_interval,
    confusion,
    cross_entropy,
    energy_distance,
    fitted_slope,
    seed_band,
    wasserstein_1d,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# scores

@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 30), k=st.integers(1, 6), seed=st.integers(0, 99), ties=st.booleans())
def test_scores_agree_with_each_other_and_with_torch(n, k, seed, ties):
    logits, labels = randn(n, k, seed=seed), torch.arange(n) % k
    if ties:
        logits = logits.round()
    table = confusion(logits, labels)
    assert torch.allclose(table.sum(1), torch.bincount(labels, minlength=k).double())
    assert math.isclose(float(table.trace()) / n, float(accuracy(logits, labels)), abs_tol=1e-12)
    assert torch.allclose(cross_entropy(logits, labels), torch.nn.functional.cross_entropy(logits, labels))
    if not ties:
        plain = (logits.argmax(1) == labels).double().mean()
        assert math.isclose(float(accuracy(logits, labels)), float(plain))
    order = torch.randperm(k, generator=torch.Generator().manual_seed(seed))    # the order of classes is idle
    renamed = accuracy(logits[:, order], order.argsort()[labels])
    assert torch.allclose(renamed, accuracy(logits, labels))


def test_a_constant_classifier_is_at_chance_whatever_the_shares():
    labels = torch.tensor([0] * 90 + [1] * 6 + [2] * 4)
    assert math.isclose(float(accuracy(torch.zeros(100, 3), labels)), 1 / 3, rel_tol=1e-6)
    assert math.isclose(float(cross_entropy(torch.zeros(100, 3), labels)), math.log(3), rel_tol=1e-6)
    two_best = torch.tensor([[1.0, 1.0, 0.0]])
    assert confusion(two_best, torch.tensor([1])).tolist() == [[0, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]


def test_rows_are_the_truth_and_columns_the_guess():
    logits = torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 9, 0], [0, 9, 0]])
    assert confusion(logits, torch.tensor([0, 1, 2, 2])).tolist() == [[1, 0, 0], [0, 1, 0], [0, 2, 0]]


def test_nan_is_wrong_and_huge_logits_are_finite():
    assert float(accuracy(torch.tensor([[math.nan, 1.0], [0.0, 1.0]]), torch.tensor([1, 1]))) == 0.5
    assert float(cross_entropy(torch.tensor([[1e4, 0.0]]), torch.tensor([1]))) == 1e4


def test_the_gradient_of_the_cross_entropy_is_softmax_minus_truth():
    logits, labels = randn(5, 3).requires_grad_(), torch.tensor([0, 1, 2, 0, 1])
    gradient, = torch.autograd.grad(cross_entropy(logits, labels), logits)
    expected = (logits.softmax(1) - torch.nn.functional.one_hot(labels, 3)) / 5
    assert torch.allclose(gradient, expected)


def test_scores_refuse_wrong_shapes():
    for score in (accuracy, confusion, cross_entropy):
        with pytest.raises(ValueError, match=r"logits of shape \(N, K\) and labels of .*got \(4, 3\)"):
            score(torch.zeros(4, 3), torch.zeros(5, dtype=torch.int64))


# distances

def test_the_energy_distance_is_unbiased():
    """Mean zero for equal laws; for two unit normals at distance d its closed form."""
    same = [float(energy_distance(randn(6, 1, seed=s), randn(9, 1, seed=s + 10_000))) for s in range(2000)]
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(len(same)) and min(same) < 0
    d = 1.5
    apart = [float(energy_distance(randn(6, 1, seed=s) + d, randn(9, 1, seed=s + 10_000)))
             for s in range(2000)]
    # E|N(m, 2)| = 2/sqrt(pi) exp(-m^2/4) + m erf(m/2)
    mean_abs = lambda m: 2 / math.sqrt(math.pi) * math.exp(-m * m / 4) + m * math.erf(m / 2)  # noqa: E731
    assert abs(np.mean(apart) - 2 * (mean_abs(d) - mean_abs(0))) < 4 * np.std(apart) / math.sqrt(len(apart))


def test_energy_distance_is_symmetric_invariant_and_takes_paths():
    x, y = randn(7, 5, 2), randn(9, 5, 2, seed=1)
    value = energy_distance(x, y)
    assert torch.allclose(value, energy_distance(y, x))
    assert torch.allclose(value, energy_distance(x + 3, y + 3))
    assert torch.allclose(3 * value, energy_distance(3 * x, 3 * y))
    assert torch.allclose(value, energy_distance(x.reshape(7, 10), y.reshape(9, 10)))
    pairs = [float((a - b).norm()) for a in x for b in y]
    within = [np.mean([float((a - b).norm()) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])
              for z in (x, y)]
    assert math.isclose(float(value), 2 * np.mean(pairs) - sum(within), rel_tol=1e-9)


def test_the_gradient_of_the_energy_distance_is_right_where_points_coincide():
    x = torch.zeros(4, 1, dtype=torch.float64, requires_grad=True)
    gradient, = torch.autograd.grad(energy_distance(x, torch.zeros(3, 1, dtype=torch.float64)), x)
    assert gradient.tolist() == [[0.0]] * 4
    x, y = randn(5, 3).requires_grad_(), randn(6, 3, seed=1)
    assert torch.autograd.gradcheck(lambda z: energy_distance(z, y), x)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 20), m=st.integers(1, 20), seed=st.integers(0, 99), ties=st.booleans())
def test_wasserstein_agrees_with_scipy(n, m, seed, ties):
    x, y = randn(n, seed=seed), 2 * randn(m, seed=seed + 100)
    if ties:
        x, y = x.round(), y.round()
    assert math.isclose(float(wasserstein_1d(x, y)), wasserstein_distance(x.numpy(), y.numpy()), abs_tol=1e-9)


def test_wasserstein_of_a_shift_and_its_gradient():
    x, y = randn(8), randn(8, seed=1).requires_grad_()
    assert torch.allclose(wasserstein_1d(x, x + 2.5), torch.tensor(2.5, dtype=torch.float64))
    assert torch.allclose(wasserstein_1d(x, y), (x.sort().values - y.sort().values).abs().mean())
    assert torch.autograd.gradcheck(lambda z: wasserstein_1d(x, z), y)


def test_distances_refuse_wrong_shapes():
    with pytest.raises(ValueError, match=r"n and m at least 2, .*got \(1, 2\) and \(5, 2\)"):
        energy_distance(torch.zeros(1, 2), torch.zeros(5, 2))
    with pytest.raises(ValueError, match="the same trailing axes"):
        energy_distance(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"shapes \(n,\) and \(m,\).*got \(0,\) and \(3,\)"):
        wasserstein_1d(torch.zeros(0), torch.zeros(3))


# over seeds

def test_a_band_is_made_of_quantiles():
    values = np.arange(101.0)[:, None] * np.array([1.0, -2.0])
    median, low, high = seed_band(values, coverage=0.8)
    np.testing.assert_allclose(median, [50, -100])
    np.testing.assert_allclose(low, [10, -180])
    np.testing.assert_allclose(high, [90, -20])
    for whole, part in zip(seed_band(values.T, axis=1, coverage=0.8), (median, low, high), strict=True):
        np.testing.assert_allclose(whole, part)


def test_a_band_leaves_out_what_diverged():
    median, low, high = seed_band([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]], coverage=1.0)
    assert (median[0], low[0], high[0]) == (2, 1, 3) and np.isnan([median[1], low[1], high[1]]).all()


def test_the_bootstrap_interval_covers_and_is_seeded():
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(2.0, size=40), level=0.9, resamples=300, seed=s)
                 for s in range(300)]
    covered = np.mean([low <= 2 <= high for low, high in intervals])
    assert 0.82 < covered < 0.94                             # 0.88 expected at n = 40, standard error 0.02
    values = rng.normal(size=10)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    low, high = bootstrap_interval(values, np.median, level=0.5)
    assert values.min() <= low <= high <= values.max()


def test_the_bootstrap_standard_error_of_a_mean():
    values = np.random.default_rng(1).normal(size=200)
    low, high = bootstrap_interval(values, level=0.95)
    assert math.isclose(high - low, 2 * 1.96 * values.std() / math.sqrt(200), rel_tol=0.1)


@pytest.mark.parametrize("scale", ["log", "semilog", "linear"])
def test_a_slope_is_found(scale):
    x = np.array([0.1, 0.2, 0.4, 0.8])
    y = {"log": 3 * x ** 1.5, "semilog": 3 * np.exp(1.5 * x), "linear": 3 + 1.5 * x}[scale]
    assert math.isclose(fitted_slope(x, y, scale=scale), 1.5, rel_tol=1e-9)
    noisy = y * np.array([1.1, 0.9, 1.05, 0.97])
    logs = (np.log(x) if scale == "log" else x, np.log(noisy) if scale != "linear" else noisy)
    assert math.isclose(fitted_slope(x, noisy, scale=scale), np.polyfit(*logs, 1)[0], rel_tol=1e-9)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: seed_band([1.0], coverage=1.5), "coverage of a band is a share"),
    (lambda: seed_band(np.zeros((0, 3))), "at least one seed along axis 0"),
    (lambda: bootstrap_interval([1.0]), r"at least two values.*got shape \(1,\)"),
    (lambda: bootstrap_interval([1.0, np.nan]), "with 1 not finite"),
    (lambda: bootstrap_interval([1.0, 2.0], level=95), "strictly between 0 and 1, got 95"),
    (lambda: bootstrap_interval([1.0, 2.0], resamples=0), "resamples is a whole number >= 1"),
    (lambda: bootstrap_interval([1.0, 2.0], seed=-1), "a seed is an integer"),
    (lambda: fitted_slope([1, 2], [1, 2, 3]), r"one shape \(n,\), got \(2,\) and \(3,\)"),
    (lambda: fitted_slope([1, 2], [1, 0]), "finite positive y, got 0 at position 1"),
    (lambda: fitted_slope([1, 2], [1, np.nan], scale="linear"), "finite y, got nan at position 1"),
    (lambda: fitted_slope([2, 2], [1, 3]), "at least two different x, got 1"),
    (lambda: fitted_slope([1, 2], [1, 3], scale="loglog"), "scale is 'log', 'semilog' or 'linear'"),
])
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
