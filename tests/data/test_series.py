"""Laws of the set of series: intake, split, standardisation, removal."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.data import (
    Series,
    as_series,
    channel_moments,
    missing_mask,
    remove_entries,
    split,
    standardise,
)


def make(n=30, length=8, channels=2, n_classes=3, seed=0):
    values = np.random.default_rng(seed).normal(3.0, 2.0, size=(n, length, channels))
    return as_series(values, np.arange(n) % n_classes, name="made up")


# intake

def test_equal_lengths_round_trip():
    values = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    series = as_series(values, ["b", "a", "b", "c"], name="letters")
    assert np.array_equal(series.values.numpy(), values) and series.values.dtype == torch.float32
    assert series.classes == ("a", "b", "c") and series.labels.tolist() == [1, 0, 1, 2]
    assert series.lengths.tolist() == [5] * 4 and bool(series.observed.all()) and len(series) == 4
    assert torch.allclose(series.times, torch.tensor([0, 0.25, 0.5, 0.75, 1.0]))


def test_unequal_lengths_are_padded_and_masked():
    series = as_series([np.ones((2, 1)), np.ones((5, 1)), np.ones((3, 1))], [0, 1, 0])
    assert series.values.shape == (3, 5, 1) and series.lengths.tolist() == [2, 5, 3]
    assert series.observed.sum(1).squeeze().tolist() == [2, 5, 3]
    assert "2 to 5 points" in repr(series) and "0% missing" in repr(series)


def test_values_beyond_given_lengths_are_dropped():
    series = as_series(np.ones((2, 4, 1)), [0, 1], lengths=[4, 2])
    assert series.observed[1].squeeze().tolist() == [True, True, False, False]


def test_times_are_shifted_and_scaled():
    series = as_series(np.ones((1, 3, 1)), [0], times=[10.0, 12.0, 20.0])
    assert torch.allclose(series.times, torch.tensor([0.0, 0.2, 1.0]))
    assert as_series(np.ones((1, 1, 1)), [0]).times.tolist() == [0.0]


def test_numbers_as_class_names_sort_as_numbers():
    assert as_series(np.ones((3, 2, 1)), ["10", "9", "-1"]).classes == ("-1", "9", "10")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"values": np.ones((2, 3))}, r"must have shape \(points, channels\).*got \(3,\); a single channel"),
    ({"values": np.ones((2, 3, 0))}, "none of them 0"),
    ({"values": []}, "there are no series"),
    ({"values": [np.ones((3, 1)), np.ones((3, 2))]}, r"same number of channels, got \[1, 2\]"),
    ({"values": np.stack([np.ones((3, 1)), np.full((3, 1), np.nan)])},
     "series 1 has no observed value.*leave it out"),
    ({"values": np.full((2, 3, 1), np.inf)}, "series 0 has an infinite value; write NaN"),
    ({"labels": [0]}, "2 series but 1 labels"),
    ({"classes": ["1"]}, "label '0' is not among the classes 1"),
    ({"times": [0.0, 1.0]}, r"times must have shape \(3,\)"),
    ({"times": [0.0, 1.0, 1.0]}, "strictly increasing"),
    ({"times": [0.0, np.nan, 1.0]}, "finite"),
    ({"lengths": [3]}, r"lengths must have shape \(2,\)"),
    ({"lengths": [3, 4]}, "lengths must lie between 1 and 3.*got 3 to 4"),
    ({"lengths": [3, 0]}, "series 1 has no observed value"),
])
def test_intake_refuses_with_a_sentence(change, sentence):
    arguments = {"values": np.ones((2, 3, 1)), "labels": [0, 1]} | change
    with pytest.raises(ValueError, match=sentence):
        as_series(**arguments)


@pytest.mark.parametrize(("field", "value", "sentence"), [
    ("values", torch.ones(2, 3), "values must have shape"),
    ("times", torch.ones(4), "times must have shape"),
    ("labels", torch.tensor([0, 7]), "labels must lie between 0 and 1.*got 0 to 7"),
])
def test_a_series_with_wrong_fields_is_refused(field, value, sentence):
    fields = {"values": torch.ones(2, 3, 1), "times": torch.linspace(0, 1, 3),
              "lengths": torch.tensor([3, 3]), "labels": torch.tensor([0, 1]),
              "classes": ("a", "b"), "name": "wrong"}
    with pytest.raises(ValueError, match=f"wrong: {sentence}"):
        Series(**fields | {field: value})


# split

@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(3, 25), min_size=1, max_size=5), seed=st.integers(0, 2**32),
       fractions=st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.5), (0.98, 0.01, 0.01), (1.0,), (0.2, 0.8)]))
def test_split_is_a_stratified_partition(counts, seed, fractions):
    n = sum(counts)
    marked = np.arange(n, dtype=np.float32).reshape(n, 1, 1)            # each series carries its own number
    series = as_series(marked, np.repeat(np.arange(len(counts)), counts))
    parts = split(series, fractions, seed=seed)
    members = torch.cat([part.values.flatten() for part in parts])
    assert sorted(members.tolist()) == list(range(n))                   # disjoint, and nothing is lost
    for part, fraction in zip(parts, fractions, strict=True):
        assert part.classes == series.classes
        assert torch.equal(part.labels, series.labels[part.values.flatten().long()])
        for k, count in enumerate(counts):
            share = int((part.labels == k).sum())
            assert share >= 1
            if all(count * f >= 1 for f in fractions):
                assert abs(share - count * fraction) < 1


def test_split_is_the_papers():
    train, validation, test = split(make(n=60), seed=0)
    assert [len(part) for part in (train, validation, test)] == [42, 9, 9]


def test_split_depends_on_the_seed_alone():
    series = make()
    first, again, other = (split(series, seed=s)[0].values for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("fractions", [(0.7, 0.2), (1.2, -0.2), (), (float("nan"), 1.0)])
def test_split_refuses_wrong_fractions(fractions):
    with pytest.raises(ValueError, match="positive fractions with sum 1"):
        split(make(), fractions, seed=0)


def test_split_refuses_a_class_that_is_too_small():
    series = as_series(np.ones((8, 2, 1)), [0] * 6 + [1] * 2)
    with pytest.raises(ValueError, match="class '1' has 2 series, too few for 3 parts"):
        split(series, seed=0)


# standardisation

def test_standardise_uses_the_training_part_alone():
    train, validation, test = split(make(), seed=0)
    far = as_series(1e6 + 0 * test.values.numpy(), test.labels, name="far away")
    with_test, without, moved = standardise(train, test)[0], standardise(train)[0], standardise(train, far)[0]
    assert torch.equal(with_test.values, without.values) and torch.equal(moved.values, without.values)
    mean, std = channel_moments(train.values)
    assert torch.allclose(standardise(train, validation)[1].values, (validation.values - mean) / std)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(3, 12), length=st.integers(2, 9), channels=st.integers(1, 3),
       rate=st.sampled_from([0.0, 0.3]), scale=st.sampled_from([1e-3, 1.0, 1e4]),
       offset=st.sampled_from([0.0, -7.0, 1e3]))
def test_standardised_moments(n, length, channels, rate, scale, offset):
    values = offset + scale * np.random.default_rng(n).normal(size=(n, length, channels))
    holes = remove_entries(torch.from_numpy(values).float(), rate, seed=length)
    values = (holes.double() - channel_moments(holes)[0]) / channel_moments(holes)[1]
    for c in range(channels):
        seen = values[..., c][~values[..., c].isnan()]
        # float32 in the data: an offset far larger than the spread costs digits
        tolerance = 1e-4 + 1e-6 * abs(offset) / scale
        if len(seen) > 1 and tolerance < 0.1:
            assert abs(seen.mean()) < tolerance and abs(seen.std(correction=0) - 1) < tolerance


def test_constant_and_unseen_channels_become_zero():
    values = np.random.default_rng(0).normal(size=(5, 4, 3))
    values[..., 1], values[..., 2] = 1 / 3, np.nan
    done, = standardise(as_series(values, [0] * 5))
    assert float(done.values[..., 1].abs().max()) < 1e-6 and bool(done.values[..., 2].isnan().all())


def test_standardise_refuses_other_channels():
    with pytest.raises(ValueError, match="has 2 channels, made up has 1"):
        standardise(make(channels=2), make(channels=1))


# removal

@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_the_rate_is_achieved(rate):
    values = torch.ones(40, 50, 5)
    share = float(remove_entries(values, rate, seed=3).isnan().float().mean())
    assert abs(share - rate) <= 5 * (rate * (1 - rate) / values.numel()) ** 0.5      # five standard errors


def test_removal_keeps_the_rest_and_is_nested_in_the_rate():
    values = torch.randn(6, 7, 2, generator=torch.Generator().manual_seed(0))
    some, more = remove_entries(values, 0.3, seed=1), remove_entries(values, 0.6, seed=1)
    assert bool((more.isnan() | ~some.isnan()).all()) and more.isnan().sum() > some.isnan().sum()
    assert torch.equal(some[~some.isnan()], values[~some.isnan()])
    assert not torch.equal(some.isnan(), remove_entries(values, 0.3, seed=2).isnan())
    assert bool(remove_entries(some, 0.0, seed=5).isnan().eq(some.isnan()).all())


def test_removal_is_independent_across_entries():
    gone = remove_entries(torch.ones(200, 30, 2), 0.5, seed=0).isnan().double()
    pairs = [gone[:, 1:] * gone[:, :-1], gone[..., :1] * gone[..., 1:], gone[1:] * gone[:-1]]
    for together in pairs:                                  # neighbours in time, channel and series
        assert abs(float(together.mean()) - 0.25) < 0.02


def test_the_mask_takes_a_knob_and_whole_points():
    uniforms = torch.rand(4, 9, 1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(missing_mask(uniforms, torch.tensor(0.4)), missing_mask(uniforms, 0.4))
    holes = torch.where(missing_mask(uniforms, 0.4), torch.nan, torch.ones(4, 9, 3))
    assert set(holes.isnan().sum(-1).flatten().tolist()) == {0, 3}


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), "0.3", True])
def test_a_wrong_rate_is_refused(rate):
    with pytest.raises(ValueError, match="a share between 0 and 1"):
        remove_entries(torch.ones(1, 1, 1), rate, seed=0)


def test_removal_refuses_wrong_shapes():
    with pytest.raises(ValueError, match=r"\(series, points, channels\), got \(3, 4\)"):
        remove_entries(torch.ones(3, 4), 0.5, seed=0)
