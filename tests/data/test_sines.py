"""The simulated sines: what they are made of, in both forms."""
import math

import pytest
import torch

from nde_lab.data import irregular_sines, sines, sines_draws, sines_labels
from nde_lab.random import sample


def test_the_briefs_set():
    series = irregular_sines(300, seed=0)
    assert series.values.shape == (300, 40, 1) and series.labels.bincount().tolist() == [100, 100, 100]
    assert series.classes == ("frequency 1", "frequency 1.5", "frequency 2")
    assert float(series.times[0]) == 0 and float(series.times[-1]) == 1


def test_seeds():
    assert torch.equal(irregular_sines(9, seed=1).values, irregular_sines(9, seed=1).values)
    assert not torch.equal(irregular_sines(9, seed=1).values, irregular_sines(9, seed=2).values)


def test_without_noise_each_series_is_a_sine_of_its_class():
    clean = irregular_sines(60, length=401, noise=0.0, seed=0)
    t = clean.times.double()
    for k, frequency in enumerate([1.0, 1.5, 2.0]):
        angle = 2 * math.pi * frequency * t
        basis = torch.stack([torch.sin(angle), torch.cos(angle)], 1)
        rows = clean.values[clean.labels == k, :, 0].double().T
        fit = torch.linalg.lstsq(basis, rows).solution
        assert float((basis @ fit - rows).abs().max()) < 1e-4
        amplitude = fit.norm(dim=0)
        assert 0.7 - 1e-4 <= float(amplitude.min()) and float(amplitude.max()) <= 1.3 + 1e-4
        assert float(amplitude.std()) > 0.1                 # they do differ


def test_the_noise_has_its_standard_deviation_and_the_phase_is_uniform():
    noisy, clean = irregular_sines(600, seed=4), irregular_sines(600, noise=0.0, seed=4)
    rest = noisy.values - clean.values
    assert abs(float(rest.std()) - 0.15) < 0.005 and abs(float(rest.mean())) < 0.005
    # with a uniform phase the first value gives nothing away: mean 0 for each class
    for k in range(3):
        assert abs(float(clean.values[clean.labels == k, 0].mean())) < 0.2


def test_the_pure_form_is_the_seeded_one():
    drawn = sample(sines_draws(12, 40), seed=7, stream="sines")
    values = sines(torch.linspace(0, 1, 40), sines_labels(12), **drawn, level=torch.tensor(0.15))
    assert torch.equal(values, irregular_sines(12, seed=7).values)


def test_a_prefix_keeps_two_sets_apart():
    names = {**sines_draws(3, prefix="train."), **sines_draws(4, prefix="test.")}
    assert len(names) == 6
    drawn = sample(names, seed=0, stream="start")
    assert not torch.equal(drawn["train.phase"], drawn["test.phase"][:3])


@pytest.mark.parametrize(("change", "sentence"), [
    ({"n": 0}, "whole number n >= 1, got 0"), ({"n_classes": 1.5}, "n_classes"),
    ({"length": 1}, "length >= 2"),
    ({"noise": -1.0}, "noise >= 0"), ({"noise": float("nan")}, "noise >= 0"), ({"n": True}, "whole number n"),
])
def test_refusals(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        irregular_sines(**{"n": 3, "seed": 0} | change)
