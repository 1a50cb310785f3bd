from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tests.toys import NoisyGrowth, SineFit

from nde_lab import sweep as sweeping
from nde_lab.experiment import last, run
from nde_lab.sweep import sweep


@pytest.fixture(scope="module")
def grid():
    return sweep(SineFit, {"lr": [1e-3, 1e-1], "width": [4, 8]}, seeds=[0, 7])


def test_a_cell_is_the_run_it_stands_for(grid):
    assert dict(grid.sizes) == {"lr": 2, "width": 2, "seed": 2, "step": 4, "x_0": 24, "y_0": 24}
    alone = last(run(SineFit, {"lr": 1e-1, "width": 8}, seed=7))
    cell = grid.sel(lr=1e-1, width=8, seed=7)
    assert np.allclose(cell["loss"], alone.history["loss"], rtol=1e-4)
    assert np.allclose(cell["y"], alone.arrays["y"], atol=1e-5)
    assert (grid["diverged_at"] == -1).all()


def test_a_step_that_gathers_columns_and_views_them_can_be_mapped():
    def step(state, noise, live):
        return {"y": (state["x"][:, noise["i"]] * live["a"]).reshape(-1)}, {}

    one = ({"x": torch.arange(12.0).reshape(3, 4)}, {"i": torch.tensor([2, 0])}, {"a": torch.tensor(2.0)})
    many = tuple({n: torch.stack([v, v]) for n, v in part.items()} for part in one)
    new, _ = sweeping._batched(step, one)(*many)
    assert torch.equal(new["y"], torch.stack([step(*one)[0]["y"]] * 2))


def test_a_diverged_cell_does_not_end_the_others():
    out = sweep(NoisyGrowth, {"growth": [0.5, 50.0]}, seeds=[0])
    assert out["diverged_at"].sel(growth=0.5).item() == -1
    alone = last(run(NoisyGrowth, {"growth": 50.0}))
    assert out["diverged_at"].sel(growth=50.0).item() == alone.status.step
    assert np.isfinite(out["y"]).all() and np.isnan(out["mean"].sel(growth=50.0, seed=0)[-1])


def test_a_stopped_sweep_resumes_from_its_store(tmp_path, monkeypatch):
    calls = []
    real = sweeping.run_batch

    def fail_on_the_second(*job):
        calls.append(job)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*job)
    monkeypatch.setattr(sweeping, "run_batch", fail_on_the_second)
    with pytest.raises(KeyboardInterrupt):
        sweep(SineFit, {"width": [4, 8]}, seeds=[0], steps=5, store=tmp_path)
    out = sweep(SineFit, {"width": [4, 8]}, seeds=[0], steps=5, store=tmp_path)
    assert len(calls) == 3 and dict(out.sizes)["width"] == 2      # the first batch was read back, not run again
    assert not list(tmp_path.glob("*.part"))
    again = sweep(SineFit, {"width": [4, 8]}, seeds=[0], steps=5, store=tmp_path)
    assert len(calls) == 3 and again.equals(out)


def test_an_executor_gives_the_same_grid(grid):
    with ThreadPoolExecutor(2) as pool:
        out = sweep(SineFit, {"lr": [1e-3, 1e-1], "width": [4, 8]}, seeds=[0, 7], executor=pool)
    assert out.equals(grid)


def test_arrays_whose_shape_changes_are_named_not_dropped_silently():
    out = sweep(NoisyGrowth, {"rows": [2, 3]}, seeds=[0], steps=3)
    assert out.attrs["left_out"] == ["x", "y"] and "mean" in out


@pytest.mark.parametrize("over, seeds, word", [
    ({"speed": [1]}, [0], "no knob 'speed'"), ({"lr": []}, [0], "has no values"), ({"lr": [9.0]}, [0], "it takes"),
    ({}, [], "at least one seed"), ({}, [-1], "a seed is"),
])
def test_refusals(over, seeds, word):
    with pytest.raises(ValueError, match=word):
        sweep(SineFit, over, seeds)
