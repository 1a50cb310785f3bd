"""Every prediction turns into every other and back; Tweedie's formula and the velocity mean what they say."""
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.score_sde import KINDS, OU, VE, VP, Mixture, SubVP, as_score, convert

ALL = [VE(high=10.0), VP(), SubVP(), OU()]
T64 = torch.float64
X = torch.tensor([[-1.3, 0.2], [0.4, 1.1], [2.0, -0.5]], dtype=T64)
RING = Mixture.ring()
name = lambda p: type(p).__name__  # noqa: E731


@pytest.mark.parametrize("process", ALL, ids=name)
@settings(deadline=None, max_examples=15)
@given(u=st.floats(0.05, 0.95))
def test_round_trips(process, u):
    t = torch.tensor(u * process.horizon, dtype=T64)
    score = RING.score(process)(t, X)
    for source, target in itertools.permutations(KINDS, 2):
        value = convert(score, X, t, process, source="score", target=source)
        there = convert(value, X, t, process, source=source, target=target)
        assert torch.allclose(there, convert(score, X, t, process, source="score", target=target), rtol=1e-9,
                              atol=1e-11)
        back = convert(there, X, t, process, source=target, target=source)
        assert torch.allclose(back, value, rtol=1e-9, atol=1e-11), (source, target)


@pytest.mark.parametrize("process", ALL, ids=name)
def test_the_velocity_is_the_moving_kernel(process):
    """a x - g^2 score / 2 = m' data + s' noise, with m' and s' by differences."""
    t, h = torch.tensor(0.4, dtype=T64), 1e-6
    score = RING.score(process)(t, X)
    velocity, data, noise = (convert(score, X, t, process, source="score", target=k)
                             for k in ("velocity", "data", "noise"))
    dm = (process.mean(t + h) - process.mean(t - h)) / (2 * h)
    ds = (process.std(t + h) - process.std(t - h)) / (2 * h)
    assert torch.allclose(velocity, dm * data + ds * noise, rtol=1e-7, atol=1e-8)


def test_the_data_prediction_of_a_gaussian_is_its_posterior_mean():
    """Data N(1, 0.25) seen as m x0 + s z: a linear regression on x."""
    process, t, x = VP(), torch.tensor(0.3, dtype=T64), torch.tensor([[-1.0], [2.0]], dtype=T64)
    at = process.coefficients(t)
    gain = at.mean * 0.25 / (at.mean**2 * 0.25 + at.std**2)
    exact = 1 + gain * (x - at.mean)
    found = convert(Mixture.of([1.0], 0.5).score(process)(t, x), x, t, process, source="score", target="data")
    assert torch.allclose(found, exact)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_any_kind_is_a_score(kind):
    process, t = VP(), torch.full((3, 1), 0.4, dtype=T64)
    score = RING.score(process)

    def predict(t, x):
        return convert(score(t, x), x, t, process, source="score", target=kind)
    assert torch.allclose(as_score(predict, process, kind)(t, X), score(t, X))


@pytest.mark.parametrize(("t", "source", "target", "words"), [
    (0.0, "noise", "score", "noise level is zero"), (0, "score", "data", "noise level is zero"),
    (2.0, "score", "noise", "outside its schedule"),
    (0.5, "eps", "score", "source must be one of score, noise"),
    (0.5, "score", "x0", "target must be one of score, noise")])
def test_refusals(t, source, target, words):
    with pytest.raises(ValueError, match=words):
        convert(X, X, t, VP(), source=source, target=target)
    if words.startswith("source"):
        with pytest.raises(ValueError, match="kind must be one of"):
            as_score(None, VP(), source)
