"""The kernel engine: runs of an experiment in one background thread, streamed as frames to whoever looks.

It knows nothing of notebooks: it is given a ``send(message, buffers)`` and is told what arrived by
``receive(message)``. The messages are plain dictionaries; ``front/kernel.js`` is the other end.

    to the kernel    start {view, gen, knobs, seed, paused}, set {live}, pause, resume, step, ack {n, run},
                     sync, hello, stop
    to the front     frame {view, gen, run, n, step, steps, engine, status, seed, knobs, arrays,
                     history: {names, from}} + float32 buffers, error {view, gen, sentence}, knobs {knobs, seed}

Back-pressure: at most ``fps`` frames a second, and at most ``ahead`` that nobody has acknowledged; a frame
that may not go out is not made, and training goes on. The first and the last frame of a run always go out.
"""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nde_lab.experiment import Frame, Run
from nde_lab.explore.spec import Explorer

Send = Callable[[dict, list[bytes]], None]
WORTH_COMPILING = 1.0  # seconds that a run must have taken
IDLE = 2.0  # seconds without a wish before another process compiles
PYTHON = "python"  # the view name of runs that Python itself started


@dataclass(frozen=True)
class _Job:
    """One run that somebody asked for."""

    number: int
    view: str
    gen: int
    knobs: Mapping[str, Any]
    seed: int


class KernelEngine:
    """Runs ``made`` in a worker thread and sends frames.

    ``compute`` is the engine of ``experiment.run``: "auto" (the default) takes a native program where there is
    one that agrees with torch, "eager" is torch alone; a frame says who computed it. ``frame`` is the newest
    frame (None before the first), ``error`` the traceback of the last failure ("" if none), ``knobs`` and
    ``seed`` the settings of the run. All methods return at once and may be called from any thread."""

    def __init__(
        self, made: Explorer, send: Send, *, fps: float = 30.0, ahead: int = 8, compute: str = "auto"
    ):
        self.explorer, self._send, self.fps, self.ahead, self.compute = made, send, fps, ahead, compute
        self.frame: Frame | None = None
        self.error = ""
        self.knobs, self.seed = dict(made.values), made.seed
        self._changed = threading.Condition()  # guards everything below
        self._job: _Job | None = None  # asked for, not yet begun
        self._current: _Job | None = None  # being run
        self._count = 0
        self._paused = self._closing = self._sync = False
        self._single = 0
        self._moved: dict[str, Any] = {}
        self._sent = self._acknowledged = 0
        self._thread: threading.Thread | None = None
        self._warm = False
        self._begun_at, self._asked = math.inf, set()
        self._last, self._cost = -math.inf, 0.0  # when the last frame was begun, and the seconds it took

    # -- what others ask for -------------------------------------------------------------------------------

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take one message of the front end. Unknown or late ones are ignored."""
        kind = message.get("t")
        if kind == "hello":
            self.warm_up()
        elif kind == "start":
            self.start(message["knobs"], message["seed"], view=message["view"], gen=message["gen"],
                       paused=message.get("paused", False))
        elif kind == "set":
            self.set_live(message["live"])
        elif kind in ("pause", "resume", "step"):
            with self._changed:
                self._paused = kind != "resume"
                self._single += kind == "step"
                self._changed.notify_all()
        elif kind == "ack":
            with self._changed:
                if self._current and message.get("run") == self._current.number:
                    self._acknowledged = max(self._acknowledged, int(message["n"]))
        elif kind == "sync":
            with self._changed:
                self._sync = True
        elif kind == "stop":
            self.stop(view=message.get("view"))

    def start(
        self, knobs: Mapping[str, Any], seed: int, *, view: str = PYTHON, gen: int = 0, paused: bool = False
    ) -> None:
        """Cancel what runs and begin a new run with these knobs (all of them are checked by the worker)."""
        with self._changed:
            self._count += 1
            self.knobs, self.seed = {**self.knobs, **knobs}, seed
            self._job = _Job(self._count, view, gen, dict(self.knobs), seed)
            self._paused, self._single, self._moved = paused, 0, {}
            self._ensure_thread()
            self._changed.notify_all()

    def set_live(self, live: Mapping[str, Any]) -> None:
        """Move live knobs of the run that is going; the next step feels them."""
        with self._changed:
            self.knobs.update(live)
            if self._job is not None:  # not begun yet: it shall begin with the new values
                self._job = replace(self._job, knobs={**self._job.knobs, **live})
            else:
                self._moved.update(live)
            self._changed.notify_all()

    def pause(self) -> None:
        """Hold the run after the present step."""
        self.receive({"t": "pause"})

    def resume(self) -> None:
        """Go on with a held run."""
        self.receive({"t": "resume"})

    def warm_up(self) -> None:
        """Start the worker, which pays for torch's first-use costs before the first run asks for them."""
        with self._changed:
            self._ensure_thread()

    def stop(self, view: str | None = None, *, wait: float | None = None) -> None:
        """End the run and the thread (only if the run belongs to ``view``, when one is given). ``start``
        begins anew."""
        with self._changed:
            owner = self._job or self._current
            if view is not None and owner is not None and owner.view not in (view, PYTHON):
                return
            self._closing, self._job, thread = True, None, self._thread
            self._changed.notify_all()
        if wait is not None and thread is not None and thread is not threading.current_thread():
            thread.join(wait)

    # -- the worker ----------------------------------------------------------------------------------------

    def _ensure_thread(self) -> None:
        if self._closing or self._thread is None or not self._thread.is_alive():
            # A closing thread leaves by itself; the fresh one has a flag of its own to look at.
            self._closing = False
            self._thread = threading.Thread(target=self._work, name=f"nde-lab-{self.explorer.name}", daemon=True)
            self._thread.start()

    def _mine(self) -> bool:
        return self._thread is threading.current_thread() and not self._closing

    def _work(self) -> None:
        import torch

        torch.set_num_threads(1)  # said inside the thread: small steps run 10-100 times slower otherwise
        self._first_use()
        run: Run | None = None
        while True:
            if run is not None and run.status.kind == "finished":
                self._compile_when_idle(run)
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        not self._mine()
                        or self._job
                        or (
                            run is not None
                            and run.status.kind == "running"
                            and (not self._paused or self._single or self._moved)
                        )
                    )
                )
                if not self._mine():
                    return
                job, self._job = self._job, None
                if job:
                    self._current, self._moved = job, {}
                    self._sent = self._acknowledged = 0
                moved, self._moved = self._moved, {}
                single, self._single = bool(self._single), max(0, self._single - 1)
                held = self._paused
            try:
                if job:
                    run = self._begin(job)
                    continue
                if moved:
                    run.set(**moved)
                if single:
                    self._advance_to_record(run)
                elif not held:
                    run.advance()
                self._offer(run, force=single or held or run.status.kind != "running")
            except Exception as error:  # noqa: BLE001 - whatever an experiment raises is shown in the widget
                run = None
                self._report(error)

    def _compile_when_idle(self, run: Run) -> None:
        """Somebody plays with this figure, its runs take a while, and nobody asks for anything just now: let
        another process compile it for the next run (at low priority; see ``nde_lab.native.experiments``)."""
        if self.compute != "auto" or run.engine == "native" or self._count < 2:
            return
        if time.monotonic() - self._begun_at < WORTH_COMPILING or run in self._asked:
            return
        with self._changed:
            if self._changed.wait_for(lambda: not self._mine() or self._job, IDLE):
                return
        from nde_lab.native import experiments

        self._asked = {run}
        experiments.begin(run.experiment, run.examples, here=False)

    def _begin(self, job: _Job) -> Run:
        self._history_sent = 0
        self._last, self._cost = -math.inf, 0.0
        self.error = ""
        run = self.explorer.run(job.knobs, seed=job.seed, engine=self.compute)
        self._begun_at = time.monotonic()
        self._offer(run, force=True)
        return run

    def _advance_to_record(self, run: Run) -> None:
        run.advance()
        while run.status.kind == "running" and run.t % run.plan.every:
            run.advance()

    def _first_use(self) -> None:
        """Imports that torch puts off until its first gradient: pay for them once, before anybody waits."""
        if self._warm:
            return
        import torch

        x = torch.ones(2, 2, requires_grad=True)
        torch.autograd.grad((x @ x).tanh().square().mean(), x)
        self._warm = True

    def _offer(self, run: Run, *, force: bool) -> None:
        now = time.monotonic()
        with self._changed:
            if self._job is not None or not self._mine():
                return  # nobody waits for this one any more
            # A frame that is dear to make waits until training has had as much time as the last one took.
            pause = max(1.0 / self.fps, 2.0 * self._cost)
            due = now - self._last >= pause and self._sent - self._acknowledged < self.ahead
            if not (due or force):
                return
            self._sent += 1
            number, sync, self._sync = self._sent, self._sync, False
            job = self._current
        self._last = now
        if sync:
            self._history_sent = 0
        self.frame = frame = run.frame()
        content, buffers = frame_message(frame, run.steps, since=self._history_sent)
        self._send({"t": "frame", "view": job.view, "gen": job.gen, "run": job.number, "n": number, **content}, buffers)
        self._history_sent = max(map(len, frame.history.values()), default=0)
        self._cost = time.monotonic() - now

    def _report(self, error: Exception) -> None:
        from nde_lab.solvers import SolverError

        self.error = traceback.format_exc()
        sentence = (
            str(error)
            if isinstance(error, (ValueError, SolverError)) and str(error)
            else f"the run ended with an error: {type(error).__name__}: {error}. "
            "The attribute `error` of the widget has all of it"
        )
        with self._changed:
            job = self._current
        self._send({"t": "error", "view": job.view, "gen": job.gen, "sentence": sentence}, [])


def frame_message(frame: Frame, steps: int, *, since: int = 0) -> tuple[dict, list[bytes]]:
    """A frame as the front end reads it: a header, and little-endian float32 buffers (the history's points from
    number ``since`` on, then the arrays)."""
    names, arrays = list(frame.history), list(frame.arrays)
    buffers = [_bytes(frame.history[n][since:]) for n in names] + [_bytes(frame.arrays[n]) for n in arrays]
    return {
        "step": frame.step,
        "steps": steps,
        "seed": frame.seed,
        "knobs": frame.knobs,
        "engine": frame.engine,
        "status": {"kind": frame.status.kind, "sentence": frame.status.sentence},
        "history": {"names": names, "from": since},
        "arrays": [{"name": n, "shape": list(np.shape(frame.arrays[n]))} for n in arrays],
    }, buffers


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, dtype="<f4").tobytes()
