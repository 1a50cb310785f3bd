import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.random import Draws, Index, Normal, Permutation, Sampler, Uniform, check_seed, philox, sample


def test_philox_gives_the_known_answers_of_its_authors():
    ones = 0xFFFFFFFF
    zero = [f"{w:08x}" for w in philox((0, 0, 0, 0), (0, 0)).reshape(-1)]
    full = [f"{w:08x}" for w in philox((ones,) * 4, (ones, ones)).reshape(-1)]
    pi = [f"{w:08x}" for w in philox((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
                                     (0xA4093822, 0x299F31D0)).reshape(-1)]
    assert zero == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]
    assert full == ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]
    assert pi == ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]


def test_moments_and_independence():
    z = sample({"z": Normal((200_000,), loc=1.0, scale=2.0)}, seed=5, stream="start")["z"].double()
    w = sample({"w": Normal((200_000,))}, seed=5, stream="start")["w"].double()
    u = sample({"u": Uniform((200_000,), -1.0, 3.0)}, seed=5, stream="start")["u"].double()
    assert abs(z.mean() - 1) < 5 * 2 / math.sqrt(2e5) and abs(z.std() / 2 - 1) < 0.01
    assert abs(((z - 1) / 2).pow(4).mean() - 3) < 0.1
    assert abs(torch.corrcoef(torch.stack([z, w]))[0, 1]) < 0.01
    assert abs(torch.corrcoef(torch.stack([z[:-1], z[1:]]))[0, 1]) < 0.01      # the two halves of a pair
    assert abs(u.mean() - 1) < 0.02 and abs(u.var() - 16 / 12) < 0.02 and u.min() >= -1 and u.max() < 3


def test_index_is_uniform_and_permutation_is_one():
    i = sample({"i": Index((60_000,), 6)}, seed=1, stream="step")["i"]
    assert i.dtype == torch.int64 and (torch.bincount(i) - 10_000).abs().max() < 500
    p = sample({"p": Permutation(1000)}, seed=1, stream="step")["p"]
    assert torch.equal(p.sort().values, torch.arange(1000)) and not torch.equal(p, torch.arange(1000))


@given(st.integers(0, 2**53 - 1), st.integers(0, 10_000))
def test_a_draw_depends_on_its_own_address_only(seed, step):
    alone = sample({"b": Normal((3, 5))}, seed=seed, stream="step", step=step)["b"]
    company = sample({"a": Index((7,), 9), "b": Normal((3, 5)), "c": Permutation(4)}, seed=seed, stream="step", step=step)
    assert torch.equal(alone, company["b"])
    # A longer tensor begins with the shorter one's numbers.
    assert torch.equal(alone.reshape(-1), sample({"b": Normal((40,))}, seed=seed, stream="step", step=step)["b"][:15])


def test_every_part_of_the_address_matters():
    base = dict(seed=3, stream="step", step=2)
    z = sample({"z": Normal((8,))}, **base)["z"]
    for change in ({"seed": 4}, {"seed": 3 + 2**32}, {"stream": "start"}, {"step": 3}):
        assert not torch.equal(z, sample({"z": Normal((8,))}, **(base | change))["z"])
    assert not torch.equal(z, sample({"y": Normal((8,))}, **base)["y"])


def test_float32_is_the_rounded_float64():
    wide = Sampler({"z": Normal((100,))}, seed=0, stream="start", dtype=torch.float64).at(0)["z"]
    assert torch.equal(wide.float(), Sampler({"z": Normal((100,))}, seed=0, stream="start").at(0)["z"])
    assert torch.isfinite(wide).all()


@pytest.mark.parametrize("bad, word", [
    (lambda: Normal((0,)), "integers >= 1"), (lambda: Normal(3), "tuple of integers"),
    (lambda: Uniform((2,), 1.0, 1.0), "low < high"), (lambda: Index((2,), 0), "between 1 and"),
    (lambda: Index((2,), 2**21), "between 1 and"), (lambda: Permutation(0), "between 1 and"),
    (lambda: check_seed(-1), "0 to 2\\^53"), (lambda: check_seed(1.5), "0 to 2\\^53"), (lambda: check_seed(True), "seed"),
    (lambda: Draws(step={"z": 3}), "step.z"),
])
def test_refusals(bad, word):
    with pytest.raises(ValueError, match=word):
        bad()
