import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.toys import NoisyGrowth, SineFit

from nde_lab import sweep as sweeping
from nde_lab.experiment import last, run
from nde_lab.sweep import BatchError, sweep


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


class LastFirst:
    """An executor whose batches finish in the opposite order, each only when asked for; the first never does."""

    def __init__(self):
        self.futures = []

    def submit(self, function, *arguments):
        self.futures.append(Future())
        if len(self.futures) == 3:
            for future in self.futures[:0:-1]:
                future.set_result(function(*arguments))
        return self.futures[-1]


def test_batches_are_saved_as_they_finish_not_as_they_were_sent(tmp_path, monkeypatch):
    """Batch 1 of 3 does not finish; the others are on disk when the reader gives up waiting, and batch 1 is cancelled."""
    pool, saved = LastFirst(), []
    real = sweeping._finish

    def stop_after_two(*given):
        saved.append(real(*given))
        if len(saved) == 2:
            raise KeyboardInterrupt
    monkeypatch.setattr(sweeping, "_finish", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        sweep(NoisyGrowth, {"rows": [2, 3, 4]}, seeds=[0], steps=2, store=tmp_path, executor=pool)
    assert len(list(tmp_path.glob("*.npz"))) == 2
    assert pool.futures[0].cancelled()


@dataclass(frozen=True)
class Moody(NoisyGrowth):
    """Its odd sizes cannot be made, until a file says that they can."""

    def data(self):
        folder = os.environ.get("NDE_LAB_TEST_FOLDER")
        if self.rows % 2 and not (folder and Path(folder, "even").exists()):
            raise ArithmeticError(f"{self.rows} is odd")
        return super().data()


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_names_its_batch_and_the_other_batches_are_kept(tmp_path, threads):
    call = dict(over={"rows": [2, 3, 4, 5], "growth": [0.5, 0.7]}, seeds=[4, 1], steps=2)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        how = {"executor": pool} if threads else {}
        with pytest.raises(BatchError, match="batch is rows = 3; growth = 0.5, 0.7; seed = 1, 4") as stopped:
            sweep(Moody, **call, store=tmp_path, **how)
        assert "Moody (and 1 more) stopped with ArithmeticError: 3 is odd" in str(stopped.value)
        assert f"2 of 4 batches are kept in {tmp_path}" in str(stopped.value)
        assert isinstance(stopped.value.__cause__, ArithmeticError)
        assert [fixed["rows"] for fixed, _, _ in stopped.value.failed] == [3, 5]
        assert len(list(tmp_path.glob("*.npz"))) == 2
        with pytest.raises(BatchError, match="nothing is kept; with `store`, a folder"):
            sweep(Moody, **call, **how)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two worker processes on this machine, as on any other: the executor, and a folder they know."""
    from distributed import Client, LocalCluster
    folder = tmp_path_factory.mktemp("workers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NDE_LAB_TEST_FOLDER", str(folder))
        with (LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as here,
              Client(here) as client):
            yield client.get_executor(pure=False), folder


@dataclass(frozen=True)
class Slow(NoisyGrowth):
    """Leaves a file that says where it runs; its larger sizes then wait for another file, called go."""

    def data(self):
        folder = Path(os.environ["NDE_LAB_TEST_FOLDER"])
        (folder / f"{self.rows}-{os.getpid()}").touch()
        while self.rows > 3 and not (folder / "go").exists():
            time.sleep(0.02)
        return super().data()


@pytest.mark.slow
def test_a_worker_that_is_killed_in_the_middle_of_a_sweep_loses_nothing(cluster, tmp_path, monkeypatch):
    """Two small batches finish; when both workers are in the middle of a large one, one of them is killed."""
    executor, folder = cluster
    real, victims = sweeping._finish, []

    def finish_and_kill(cells, saved):
        cells = real(cells, saved)
        if len(list(tmp_path.glob("*.npz"))) == 2:
            while len(busy := [*folder.glob("4-*"), *folder.glob("5-*")]) < 2:
                time.sleep(0.02)
            victims.append(busy[0].name.split("-"))
            os.kill(int(victims[0][1]), signal.SIGKILL)
            (folder / "go").touch()
        return cells
    monkeypatch.setattr(sweeping, "_finish", finish_and_kill)
    call = dict(over={"rows": [2, 3, 4, 5]}, seeds=[0], steps=3)
    out = sweep(Slow, **call, store=tmp_path, executor=executor)
    (rows, pid), = victims
    ran = {size: [f.name.split("-")[1] for f in folder.glob(f"{size}-*")] for size in "2345"}
    assert len(ran.pop(rows)) == 2 and pid != str(os.getpid()), "the batch of the dead worker ran again, elsewhere"
    assert [len(places) for places in ran.values()] == [1, 1, 1], "and no other did"
    assert len(list(tmp_path.glob("*.npz"))) == 4 and out.equals(sweep(Slow, **call))


@pytest.mark.slow
def test_on_a_cluster_an_error_names_its_batch_and_the_same_call_goes_on(cluster, tmp_path):
    executor, folder = cluster
    call = dict(over={"rows": [2, 3]}, seeds=[0], steps=2, store=tmp_path, executor=executor)
    with pytest.raises(BatchError, match="stopped with ArithmeticError: 3 is odd. The batch is rows = 3; seed = 0"):
        sweep(Moody, **call)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    (folder / "even").touch()
    assert (sweep(Moody, **call)["diverged_at"] == -1).all()


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
