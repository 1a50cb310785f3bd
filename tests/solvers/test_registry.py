import pytest
import torch

from nde_lab.solvers import NOISE_TYPES, SCHEMES, SDE, SDE_TYPES, Langevin, choose, fitting, sdeint

ALL = [scheme for variants in SCHEMES.values() for scheme in variants]


def make(noise_type="diagonal", sde_type="ito"):
    return SDE(lambda t, y: -y, lambda t, y: torch.ones_like(y) if noise_type == "diagonal"
               else torch.ones(*y.shape, 1), noise_type, sde_type)


@pytest.mark.parametrize("scheme", ALL, ids=lambda s: type(s).__name__)
def test_every_scheme_declares_itself(scheme):
    assert scheme in SCHEMES[scheme.name] and scheme.calculus in SDE_TYPES
    assert set(scheme.noise_types) <= set(NOISE_TYPES)
    assert set(scheme.strong_order.values()) <= {0.5, 1.0, 1.5} and scheme.weak_order in (1.0, 1.5, 2.0)


@pytest.mark.parametrize("scheme", ALL, ids=lambda s: type(s).__name__)
def test_evaluations_are_those_counted(scheme):
    calls = {"f": 0, "g": 0}

    def count(name, value):
        calls[name] += 1
        return value
    sde = SDE(lambda t, y: count("f", -y), lambda t, y: count("g", y), "diagonal", scheme.calculus)
    y, dW = torch.ones(2, 4, requires_grad=True), torch.ones(2, 4)
    if scheme.name == "baoab":
        sde, dW = Langevin(lambda q: count("f", -q)), torch.ones(2, 2)
    carry = scheme.start(sde, torch.zeros(()), y)
    assert (calls["f"], calls["g"]) == scheme.starts_with
    scheme.step(sde, torch.zeros(()), carry, 0.1, (dW, dW) if scheme.needs_area else dW)
    expected = [a + b for a, b in zip(scheme.starts_with, scheme.cost(sde), strict=True)]
    assert [calls["f"], calls["g"]] == expected


def test_srk_is_cheaper_for_additive_noise():
    calls = []
    sde = SDE(lambda t, y: calls.append("f") or -y, lambda t, y: calls.append("g") or torch.ones(2, 3, 1),
              "additive")
    scheme, dW = choose(sde, "srk"), torch.ones(2, 1)
    scheme.step(sde, torch.zeros(()), torch.ones(2, 3), 0.1, (dW, dW))
    assert (calls.count("f"), calls.count("g")) == scheme.cost(sde) == (2, 2)


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("sde_type", SDE_TYPES)
def test_every_sde_has_a_default_scheme_that_fits(noise_type, sde_type):
    sde = make(noise_type, sde_type)
    assert choose(sde).name in fitting(sde)
    assert sdeint(sde, torch.ones(3, 2), [0.0, 1.0], dt=0.25, seed=0).isfinite().all()
    for name in fitting(sde):
        chosen = choose(sde, name)
        assert chosen.calculus == sde_type and noise_type in chosen.noise_types


@pytest.mark.parametrize("noise_type, sde_type, method, sentence", [
    ("diagonal", "stratonovich", "euler",
     "'euler' converges to the Ito solution, and this is a Stratonovich SDE with diagonal "
     "noise; use method='milstein' or method='heun'"),
    ("diagonal", "stratonovich", "tamed_euler", "converges to the Ito solution.*method='heun'"),
    ("scalar", "ito", "heun",
     "'heun' converges to the Stratonovich solution, and this is an Ito SDE with scalar noise; "
     "use method='euler' or method='milstein' or method='srk' or method='tamed_euler'"),
    ("general", "ito", "milstein",
     "'milstein' takes additive, diagonal, scalar noise only, and this is an Ito SDE with general noise; "
     "use method='euler' or method='tamed_euler'"),
    ("general", "stratonovich", "milstein", "use method='heun'"),
    ("additive", "stratonovich", "euler",
     "or declare sde_type='ito': for additive noise both calculi mean the same"),
    ("additive", "ito", "baoab", "'baoab' splits position from momentum, so it takes a Langevin"),
    ("general", "ito", "srk", "'srk' takes additive, diagonal, scalar noise only"),
    ("diagonal", "ito", "eulr",
     "unknown method 'eulr'; for an Ito SDE with diagonal noise use method='euler'"),
])
def test_a_scheme_that_does_not_fit_is_refused_and_others_named(noise_type, sde_type, method, sentence):
    with pytest.raises(ValueError, match=sentence):
        sdeint(make(noise_type, sde_type), torch.ones(3, 2), [0.0, 1.0], method=method, dt=0.25)
