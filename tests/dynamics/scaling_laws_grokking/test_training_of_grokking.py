"""The live experiments: what their steps obey, whatever they learn."""
import numpy as np
import pytest
import torch
from experiment_laws import frames_are_finite_and_drawn, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.dynamics.scaling_laws_grokking import EnergyAscent, GroupArithmetic, group
from nde_lab.dynamics.scaling_laws_grokking.training import rank
from nde_lab.experiment import run


@pytest.mark.parametrize("cls", [GroupArithmetic, EnergyAscent])
@settings(deadline=None, max_examples=12)
@given(data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames_that_can_be_drawn(cls, data, seed):
    frames_are_finite_and_drawn(cls, data.draw(settings_of(cls, K=st.integers(8, 96))), seed)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_the_mask_shows_the_asked_number_of_pairs_and_grows_by_adding_pairs(p):
    made = run(GroupArithmetic, {"group": "Z11", "p": p}, seed=1)
    seen = made.experiment.seen(made.state, made._live_tensors())
    assert abs(float(seen.sum()) - p * 121) <= 1
    made.set(p=min(p + 0.05, 0.9))
    more = made.experiment.seen(made.state, made._live_tensors())
    assert (more >= seen).all()


def test_unseen_pairs_cannot_be_seen():
    made = run(GroupArithmetic, {"group": "Z11", "K": 32}, seed=0)
    study, data = made.experiment, dict(made._data)
    seen = study.seen(made.state, made._live_tensors())
    data["Y"] = torch.where(seen[:, None] > 0, data["Y"], data["Y"].roll(1, 1))
    new, _ = study.step(made._data, made.state, {}, made._live_tensors())
    other, _ = study.step(data, made.state, {}, made._live_tensors())
    assert all(torch.equal(new[n], other[n]) for n in ("W", "V"))


def test_info_is_what_autograd_and_counting_say():
    made = run(GroupArithmetic, {"group": "D11", "K": 16}, seed=2)
    for _ in range(40):
        made.step()
    study, state, data = made.experiment, made.state, made._data
    seen = study.seen(state, made._live_tensors())
    _, info = study.step(data, state, {}, made._live_tensors())
    M, W, V, Y = 22, state["W"], state["V"], data["Y"]
    F = (W[:M][:, None] + W[M:][None]).reshape(484, 16).square().requires_grad_()
    out = F @ V
    out = out - out.mean(1, keepdim=True)
    # The loss as the paper's code has it: |o|^2 - 2 o_y + 1 - 1/M, averaged over the seen pairs.
    loss = (seen * (out.square().sum(1) - 2 * (out * Y).sum(1) + 1 - 1 / M)).sum() / seen.sum()
    G_F, = torch.autograd.grad(-loss, F)
    right = (out.argmax(1) == Y.argmax(1)).float()
    assert float(info["loss"]) == pytest.approx(loss.item(), rel=1e-4)
    assert float(info["G_F"]) == pytest.approx(float(G_F.norm()), rel=1e-3)
    assert float(info["train"]) == pytest.approx(float((seen * right).sum() / seen.sum()))
    assert float(info["test"]) == pytest.approx(float(((1 - seen) * right).sum() / (1 - seen).sum()))


def test_from_zero_the_output_layer_sends_nothing_and_is_right_about_nothing():
    made = run(GroupArithmetic, {"zero_start": True, "group": "Z11"}, seed=0)
    first = made.step()
    assert float(first["G_F"]) == 0 and float(first["train"]) == 0 and float(first["test"]) == 0
    assert float(made.state["V"].abs().max()) > 0


def test_muon_moves_w_as_a_matrix_and_adam_moves_v():
    both = {o: run(GroupArithmetic, {"optimizer": o, "group": "Z11"}, seed=0) for o in ("adam", "muon")}
    start = both["adam"].state
    moved = {o: (r.step(), r.state["W"] - start["W"])[1] for o, r in both.items()}
    assert torch.allclose(both["adam"].state["V"], both["muon"].state["V"])
    singular = torch.linalg.svdvals(moved["muon"])
    assert float(singular.max() / singular.median()) < 3


@settings(max_examples=30, deadline=None)
@given(keys=st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_rank_is_a_stable_sort(keys):
    order = np.argsort(keys, kind="stable")
    assert (rank(torch.tensor(keys, dtype=torch.float32)).numpy()[order] == np.arange(len(keys))).all()


def test_the_picture_sorts_units_by_their_mode():
    made = run(GroupArithmetic, {"group": "Z11", "p": 0.9, "K": 64}, seed=0, steps=60)
    while made.status.kind == "running":
        made.advance()
    share = made.frame().arrays["share"]
    assert share.shape == (5, 60) and np.allclose(share.sum(0), 1, atol=1e-5)
    assert (np.diff(share.argmax(0)) >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Z23", "D11"])
def test_it_remembers_first_and_groks_later(name):
    made = run(GroupArithmetic, {"group": name, "p": 0.6}, seed=0, steps=500)
    while made.status.kind == "running":
        made.advance()
    h = made.frame().history
    assert h["train"][3] > 0.98 and h["test"][3] < 0.5 and h["test"][-1] > 0.99
    assert h["purity"][-1] > h["purity"][0] + 0.3


def test_ascent_ends_on_the_levels_of_its_group():
    made = run(EnergyAscent, {"group": "S4"}, seed=3)
    while made.status.kind == "running":
        made.advance()
    frame = made.frame()
    levels = np.array([1 / 6, 1 / 4, 1 / 2])
    assert (np.abs(frame.arrays["energy"][:, -1:] - levels).min(1) < 1e-3).all()
    assert frame.history["purity"][-1] > 0.99 and group("S4").M == 24


@pytest.mark.parametrize(("knobs", "says"), [({"group": "Z24"}, "it takes one of 'Z11'"), ({"p": 1.0}, "0.2 to 0.9"),
                                             ({"act": "cube"}, "square"), ({"width": 3}, "no knob 'width'")])
def test_refusals(knobs, says):
    with pytest.raises(ValueError, match=says):
        run(GroupArithmetic, knobs)
