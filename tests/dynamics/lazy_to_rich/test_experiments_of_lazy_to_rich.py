"""The live experiments, alone and in a sweep's batch."""
import numpy as np
import pytest
import torch
from experiment_laws import frames_are_finite_and_drawn, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.dynamics.lazy_to_rich import LazyToRich, ModularAddition, TurningUnits, model, simulate
from nde_lab.dynamics.lazy_to_rich.simulator import Problem
from nde_lab.experiment import last, run
from nde_lab.sweep import sweep

SMALL = {LazyToRich: {"D": 10}, TurningUnits: {"D": 5, "P": 20}, ModularAddition: {"p": 11, "N": 50}}
T64 = torch.float64


@pytest.mark.parametrize("cls", SMALL)
@settings(deadline=None, max_examples=8)
@given(data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames_that_can_be_drawn(cls, data, seed):
    # The largest steps may diverge, and then say so; here they are small.
    calm = {"eta0": st.just(cls.live["eta0"].low)} if "eta0" in cls.live else {}
    calm |= {n: st.integers(k.low, k.high) for n, k in cls.live.items() if n in ("N", "P")}
    small = {n: st.just(v) for n, v in SMALL[cls].items()}
    frames_are_finite_and_drawn(cls, data.draw(settings_of(cls, **calm, **small)), seed)


@pytest.mark.parametrize("cls", SMALL)
def test_a_batch_of_knobs_and_seeds_is_the_same_as_one_by_one(cls):
    steps = 2 * cls().plan.every
    calm = {"lr": [1000.0]} if cls is ModularAddition else {}
    over = {"alpha": [1.0, 2.0], **calm, **{n: [v] for n, v in SMALL[cls].items()}}
    grid = sweep(cls, over, seeds=[0, 3], steps=steps).squeeze()
    for alpha in over["alpha"]:
        for seed in (0, 3):
            cell = grid.sel(alpha=alpha, seed=seed)
            alone = last(run(cls, {n: v[0] for n, v in over.items()} | {"alpha": alpha}, seed=seed, steps=steps))
            assert alone.history.keys() - {"step"} <= set(grid.data_vars)
            for name, values in alone.history.items():
                assert np.allclose(cell[name], values, rtol=1e-4, atol=1e-5), name
            for name, values in alone.arrays.items():
                drawn = cell[name if name not in alone.history else f"{name}_last"]
                assert np.allclose(drawn, values, rtol=1e-4, atol=1e-4), name


def test_a_diverged_cell_of_a_batch_keeps_its_last_good_state():
    over = {"D": [10], "alpha": [0.25, 64.0], "eps": [1.0], "eta0": [3.0]}
    grid = sweep(LazyToRich, over, seeds=[0], steps=60).squeeze()
    alone = last(run(LazyToRich, {"D": 10, "alpha": 0.25, "eps": 1.0, "eta0": 3.0}, seed=0, steps=60))
    assert alone.status.kind == "diverged" and "raise α" in alone.status.sentence
    assert int(grid["diverged_at"].sel(alpha=0.25)) == alone.status.step
    assert int(grid["diverged_at"].sel(alpha=64.0)) == -1 and np.isfinite(grid["test_last"]).all()


@pytest.mark.parametrize(("N", "centred"), [(1000, 1), (8, 1), (8, 0)])
def test_the_live_run_is_the_simulators(N, centred):
    knobs = {"D": 10, "P": 60, "N": N, "centred": centred, "eps": 0.3, "alpha": 2.0, "eta0": 1.0}
    made = run(LazyToRich, knobs, seed=1, steps=80)
    start = {n: v.to(T64) for n, v in made.state.items()}
    p = Problem(start["X"][:60], start["y"][:60], start["beta"], start["w0"], start["M0"])
    assert (start["X"][60:] == 0).all() and torch.allclose(p.y, model.target(p.X, p.beta), atol=1e-5)
    if N == 1000:
        assert torch.equal(start["M0"], torch.eye(10, dtype=T64)) and not start["w0"].any()
    frame = last(made)
    exact = simulate(p, alpha=2.0, eps=0.3, eta0=1.0, steps=80, centred=bool(centred))
    at = np.isin(exact["step"], frame.arrays["at"]) & (exact["step"] >= 1)
    here = np.isin(frame.arrays["at"], exact["step"][at]) & (frame.arrays["at"] < 80)
    for name in ("train", "test", "A", "B", "C", "alignment"):
        assert np.allclose(frame.arrays[name][here], exact[name][at][:here.sum()], rtol=2e-3, atol=2e-4), name
    if centred:
        lazy = simulate(p, alpha=2.0, eps=0.3, eta0=1.0, steps=80, lazy=True)
        assert frame.arrays["lazy"][-1] == pytest.approx(lazy["test"][-1], rel=1e-3)


def test_drawn_units_are_the_first_n_and_lie_where_their_weights_say():
    made = run(TurningUnits, {"N": 3}, seed=2, steps=20)
    frame = last(made)
    W, b = made.state["W"][:3], made.state["beta"] / made.state["beta"].norm()
    along = frame.arrays["along_now"]
    assert np.allclose(along[:3], (W @ b).numpy(), atol=1e-5) and (along[3:] == along[0]).all()
    rest = (W - (W @ b)[:, None] * b).norm(dim=1)
    assert np.allclose(frame.arrays["off_now"][:3], rest.numpy(), atol=1e-4)
    assert frame.history["size"][-1] == pytest.approx(float(W.square().sum(1).mean().sqrt()), rel=1e-5)


def test_unseen_sums_cannot_be_seen():
    made = run(ModularAddition, SMALL[ModularAddition] | {"part": 0.5}, seed=0)
    seen, study, live = made.state["seen"], made.experiment, made._live_tensors()
    assert abs(float(seen.mean()) - 0.5) < 0.01
    spoiled = dict(made._data) | {"Y": torch.where(seen[:, None] > 0, made._data["Y"], made._data["Y"].roll(1, 1))}
    new, other = (study.step(data, made.state, {}, live)[0] for data in (made._data, spoiled))
    assert all(torch.equal(new[n], other[n]) for n in "WV")


def test_outputs_and_curves_of_addition_are_those_of_one_hot_inputs():
    made = run(ModularAddition, SMALL[ModularAddition], seed=4)
    p, W, V, live = 11, made.state["W"], made.state["V"], made._live_tensors()
    a, b = torch.arange(p * p) // p, torch.arange(p * p) % p
    X = torch.zeros(p * p, 2 * p)
    X[torch.arange(p * p), a] = X[torch.arange(p * p), p + b] = 1
    out = made.experiment.output(made.state, live)
    assert torch.allclose(out, (X @ W.T).square() @ V.T / (2 * p * 50), atol=1e-5)
    seen = made.state["seen"] > 0
    now = made.experiment.measure(made._data, made.state, out)
    right = out.argmax(1) == (a + b) % p
    assert float(now[2]) == pytest.approx(float(right[seen].float().mean()))
    assert float(now[3]) == pytest.approx(float(right[~seen].float().mean()))
    assert float(now[0]) == pytest.approx(float((out - made._data["Y"])[seen].square().sum(1).mean()), rel=1e-5)
