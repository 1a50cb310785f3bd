"""The digits: what is in them, that the split is a balanced partition fixed by its seed, and what is
refused."""
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.data import load_digits
from nde_lab.data.digits import COUNT, _quota, all_digits


def test_there_are_1797_pictures_in_the_unit_interval_with_the_known_classes():
    every = all_digits()
    assert every.pixels.shape == (COUNT, 64) and every.pixels.dtype == torch.float32
    assert float(every.pixels.min()) == 0 and float(every.pixels.max()) == 1
    assert torch.equal((every.pixels * 16).round() / 16, every.pixels), "17 greys"
    assert every.counts().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert every.labels[:10].tolist() == list(range(10)) and every.labels.dtype == torch.int64


def test_a_picture_reads_row_by_row_from_the_top():
    """The zero is a ring: its middle columns are dark inside, and its corners are empty."""
    zero = all_digits().images()[0]
    assert zero.shape == (8, 8)
    assert float(zero[:, 0].sum()) == 0 and float(zero[3:5, 3:5].sum()) < 0.1 < float(zero[3:5, 2].sum())
    assert zero.reshape(-1).tolist() == all_digits().pixels[0].tolist()


def test_the_default_split():
    train, test = load_digits()
    assert (len(train), len(test)) == (1400, 397)
    again, _ = load_digits(seed=0)
    assert torch.equal(again.index, train.index)
    assert not torch.equal(load_digits(seed=1)[0].index, train.index)


@settings(max_examples=25)
@given(train=st.integers(20, COUNT - 20), seed=st.integers(0, 2**53 - 1))
def test_any_split_is_a_partition_with_balanced_classes(train, seed):
    first, second = load_digits(train=train, seed=seed)
    assert len(first) == train and sorted([*first.index.tolist(), *second.index.tolist()]) == list(range(COUNT))
    every = all_digits()
    assert float((first.counts() - every.counts() * (train / COUNT)).abs().max()) < 1
    assert int(first.counts().min()) > 0 and int(second.counts().min()) > 0
    assert torch.equal(every.pixels[first.index], first.pixels)
    assert torch.equal(every.labels[second.index], second.labels)


def test_both_parts_are_shuffled():
    train, _ = load_digits()
    assert len(set(train.labels[:128].tolist())) == 10
    assert not torch.equal(train.index.sort().values, train.index)


def test_quotas_add_up():
    assert _quota(torch.tensor([3, 3, 3]), 4).tolist() == [2, 1, 1]
    assert _quota(torch.tensor([1, 99]), 50).sum() == 50


@pytest.mark.parametrize("train", [0, 19, COUNT - 19, 1400.0, True, "all"])
def test_a_bad_size_is_refused_with_what_is_allowed(train):
    with pytest.raises(ValueError, match="train is a whole number of pictures from 20 to 1777"):
        load_digits(train=train)


def test_a_bad_seed_is_refused():
    with pytest.raises(ValueError, match="a seed is an integer"):
        load_digits(seed=-1)


def test_without_scikit_learn_the_error_says_what_to_install():
    code = ("import sys; sys.modules['sklearn'] = None\n"
            "from nde_lab.data import load_digits\n"
            "try:\n    load_digits()\n"
            "except ModuleNotFoundError as error:\n    print(error)\n")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "nde_lab[data]"' in said


def test_scikit_learn_is_not_imported_with_the_package():
    code = "import sys, nde_lab.data; print('sklearn' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "False"
