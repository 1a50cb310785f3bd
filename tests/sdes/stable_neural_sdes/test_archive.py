"""The classifier on real series: split, standardisation, holes that cannot be looked into, unequal lengths."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import run
from nde_lab.sdes.stable_neural_sdes import KINDS, SeriesClassifier
from nde_lab.sdes.stable_neural_sdes.archive import SETS
from nde_lab.views import still

QUICK = "ItalyPowerDemand"


@pytest.mark.parametrize("dataset", SETS)
def test_each_class_is_split_70_15_15_and_nothing_is_in_two_parts(dataset):
    made = run(SeriesClassifier, {"dataset": dataset}, seed=3)
    labels, train, test = made._data["labels"], made.state["train"], made.state["test"]
    assert len(set(train.tolist()) | set(test.tolist())) == len(train) + len(test) < len(labels)
    for k in labels.unique():
        n = int((labels == k).sum())
        assert abs(int((labels[train] == k).sum()) - 0.7 * n) <= 0.5
        assert abs(int((labels[test] == k).sum()) - 0.15 * n) <= 0.5 + 1e-9
    other = run(SeriesClassifier, {"dataset": dataset}, seed=4)
    assert set(other.state["train"].tolist()) != set(train.tolist())


def test_channels_are_standardised_with_the_training_part_alone():
    made = run(SeriesClassifier, {"dataset": "BasicMotions"}, seed=0)
    values = made._data["values"][made.state["train"]]
    scaled = (values - made.state["mean"]) / made.state["std"]
    assert torch.allclose(scaled.mean((0, 1)), torch.zeros(6), atol=1e-4)
    assert torch.allclose(scaled.std((0, 1), correction=0), torch.ones(6), atol=1e-4)


def test_a_removed_entry_cannot_be_seen():
    made = run(SeriesClassifier, {"dataset": "JapaneseVowels"}, seed=0)
    data, state, rows = dict(made._data), made.state, made.state["test"]
    missing = state["u"] < 0.5
    paths = made.experiment.paths(data, state, rows, missing)
    spoiled = data["values"].clone()
    spoiled[rows] = torch.where(missing, 1e6, spoiled[rows])
    assert torch.equal(made.experiment.paths(data | {"values": spoiled}, state, rows, missing), paths)
    assert not torch.equal(made.experiment.paths(data, state, rows), paths)
    assert torch.isfinite(paths).all()


def test_series_of_unequal_length_are_read_out_at_their_own_end():
    made = run(SeriesClassifier, {"dataset": "JapaneseVowels"}, seed=0)
    frame, last = next(made), int(made._data["last"][made.state["test"][0]])
    assert last < frame.arrays["belief"].shape[1] - 1
    belief = frame.arrays["belief"]
    assert np.allclose(belief[:, last:], belief[:, last:last + 1])
    assert not np.allclose(belief[:, last - 1], belief[:, last])


@settings(deadline=None, max_examples=8)
@given(dataset=st.sampled_from(sorted(SETS)), kind=st.sampled_from(KINDS), control=st.booleans(), data=st.data())
def test_any_knobs_give_finite_frames(dataset, kind, control, data):
    live = {n: data.draw(st.sampled_from([k.low, k.high])) for n, k in SeriesClassifier.live.items()}
    made = run(SeriesClassifier, live | {"dataset": dataset, "kind": kind, "control": control}, seed=1, steps=2)
    made.step()
    frame = made.frame()
    assert all(np.isfinite(a).all() for a in frame.arrays.values()) and made.status.kind == "running"
    assert made.experiment.view().observables() <= set(frame.arrays)


def test_some_steps_on_real_series_beat_guessing_and_the_missing_rate_is_for_the_test():
    runs = [run(SeriesClassifier, {"dataset": QUICK, "kind": "LNSDE", "missing": m}, seed=0) for m in (0.0, 0.8)]
    losses = [[float(made.step()["train_loss"]) for _ in range(4)] for made in runs]
    assert losses[0] == losses[1]
    for _ in range(76):
        info = runs[0].step()
    assert float(info["train_loss"]) < 0.67, "guessing one of two classes costs ln 2 = 0.69"
    assert len(still(runs[0].experiment.view(), runs[0].frame()).axes) == 4


def test_an_unknown_data_set_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'Iris'; it takes one of 'BasicMotions', 'JapaneseVowels'"):
        run(SeriesClassifier, {"dataset": "Iris"})
