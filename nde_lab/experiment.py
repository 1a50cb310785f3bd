"""The contract of an experiment, and the way to run one: a stream of frames (``nde_lab.sweep`` runs a grid).

An experiment is a frozen dataclass whose fields are its fixed knobs. ``init``, ``step`` and ``observe`` are
pure functions of tensors with fixed shapes: the same three functions run here, are batched by ``sweep``, and
are traced for the reader's browser. Randomness is declared by ``draws``, never drawn inside.
"""
from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nde_lab.knobs import Knob, knob
from nde_lab.progress import WithProgress
from nde_lab.random import Draws, Sampler, check_seed
from nde_lab.status import Status
from nde_lab.views import View

DTYPES = {"float32": torch.float32, "float64": torch.float64}
ENGINES = ("kernel", "page", "stored")


@dataclass(frozen=True)
class Plan:
    """How long a default run is: ``steps``, a recorded point every ``every`` steps, which engines suit it, and
    ``advice``: what to try when it diverges."""
    steps: int
    every: int = 1
    dtype: str = "float32"
    engines: tuple[str, ...] = ("kernel", "page")
    advice: str = "lower the learning rate or the noise"

    def __post_init__(self):
        if not (isinstance(self.steps, int) and isinstance(self.every, int) and 1 <= self.every <= self.steps):
            raise ValueError(f"a plan needs whole numbers 1 <= every <= steps, got steps={self.steps}, "
                             f"every={self.every}")
        if self.dtype not in DTYPES:
            raise ValueError(f"a plan's dtype is one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if unknown := set(self.engines) - set(ENGINES):
            raise ValueError(f"unknown engines {sorted(unknown)}; known: {', '.join(ENGINES)}")


@dataclass(frozen=True)
class Frame:
    """What a view draws at one moment: history (name -> 1-d array, "step" among them) and observed arrays; and
    which engine computes the steps, "eager" (torch) or "native"."""
    step: int
    history: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray]
    status: Status
    knobs: dict[str, Any]
    seed: int
    engine: str = "eager"


_REGISTERED: dict[str, type] = {}
_METHODS = ("plan", "data", "draws", "init", "step", "observe", "view")


def experiment(*, paper: str) -> Callable[[type], type]:
    """Class decorator, above ``@dataclass(frozen=True)``: checks the contract and registers the class."""
    def register(cls: type) -> type:
        lacking = [m for m in _METHODS if not hasattr(cls, m)]
        if lacking or not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:
            raise TypeError(f"experiment {cls.__name__} must be a frozen dataclass with {', '.join(_METHODS)}"
                            + (f"; it lacks {', '.join(lacking)}" if lacking else ""))
        bare = [f.name for f in dataclasses.fields(cls) if "knob" not in f.metadata]
        if bare:
            raise TypeError(f"fields {bare} of {cls.__name__} are not knobs; "
                            f"write `{bare[0]} = knob(default, ...)`")
        cls.live = dict(getattr(cls, "live", {}))
        cls.fixed = {f.name: f.metadata["knob"] for f in dataclasses.fields(cls)}
        if both := set(cls.live) & set(cls.fixed):
            raise TypeError(f"knobs {sorted(both)} of {cls.__name__} are both live and fixed")
        cls.paper = paper
        cls.__init__ = _checked(cls.__init__)
        _REGISTERED[cls.__name__] = cls
        return cls
    return register


def _checked(init: Callable) -> Callable:
    """The dataclass's ``__init__`` with checked knobs (it is made already, so ``__post_init__`` is too late)."""
    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        init(self, *args, **kwargs)
        for name, made in type(self).fixed.items():
            object.__setattr__(self, name, made.check(name, getattr(self, name)))
    return __init__


def registered() -> dict[str, type]:
    """All registered experiments by class name (those whose modules have been imported)."""
    return dict(_REGISTERED)


def knobs_of(experiment) -> dict[str, Knob]:
    """All knobs of an experiment (class or instance) by name: fixed first, then live."""
    return {**experiment.fixed, **experiment.live}


def configure(experiment, knobs: Mapping[str, Any] | None = None):
    """Split ``knobs`` into a (possibly new) instance and live values: returns (instance, {name: float}).

    ``experiment`` is a registered class or an instance. Unknown names and bad values are a ValueError.
    """
    cls = experiment if isinstance(experiment, type) else type(experiment)
    if not hasattr(cls, "fixed"):
        raise ValueError(f"{cls.__name__} is not an experiment; decorate it with @experiment(paper=...)")
    knobs = dict(knobs or {})
    known = knobs_of(cls)
    for name in knobs:
        if name not in known:
            raise ValueError(f"{cls.__name__} has no knob {name!r}; its knobs: {', '.join(known)}")
    base = {} if isinstance(experiment, type) else {n: getattr(experiment, n) for n in cls.fixed}
    instance = cls(**(base | {n: v for n, v in knobs.items() if n in cls.fixed}))
    live = {n: k.check(n, knobs.get(n, k.default)) for n, k in cls.live.items()}
    return instance, live


class Run(Iterator[Frame]):
    """One run as an iterator of frames. Stop by not asking for the next one.

    ``set(name=value)`` moves live knobs between steps; ``state`` and ``t`` (steps done) are there to look at.
    Deterministic: the same experiment, knobs and seed give the same frames (with ``engine="auto"`` up to
    rounding). ``engine_note`` says in words who computes, and why.
    """

    def __init__(self, experiment, knobs=None, *, seed: int = 0, steps: int | None = None,
                 engine: str = "eager"):
        self.experiment, self._live = configure(experiment, knobs)
        self.seed, self.plan = check_seed(seed), self.experiment.plan
        self.steps = self.plan.steps if steps is None else steps
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"a run takes a whole number of steps >= 1, got {steps!r}")
        self.dtype = DTYPES[self.plan.dtype]
        draws = self.experiment.draws()
        self._draws = {s: Sampler(getattr(draws, s), seed=seed, stream=s, dtype=self.dtype)
                       for s in ("start", "step", "observe")}
        self._data = self.experiment.data()
        self._frozen_noise = self._draws["observe"].at(0)
        self._tensors = self._live_tensors()
        self.state = self.experiment.init(self._data, self._draws["start"].at(0), self._tensors)
        self.t, self.status = 0, Status("running", "running: step 0", 0)
        self._driver = None
        if engine != "eager":
            from nde_lab.native.driver import Driver
            self._driver = Driver(self.experiment, engine, self.examples)
        self._history: dict[str, list[float]] = {}
        self._fresh = True

    def _live_tensors(self) -> dict[str, Tensor]:
        return {n: torch.tensor(float(v), dtype=self.dtype) for n, v in self._live.items()}

    def examples(self) -> tuple[tuple, tuple]:
        """Arguments that ``step`` and ``observe`` could be called with now (to trace them)."""
        return ((self._data, self.state, self._draws["step"].at(self.t), self._tensors),
                (self._data, self.state, self._frozen_noise, self._tensors))

    @property
    def engine(self) -> str:
        """Who computes the next step: "eager" (torch) or "native"."""
        return self._driver.engine if self._driver else "eager"

    @property
    def engine_note(self) -> str:
        """The same in words, with the reason where a native program was asked for and is not used."""
        return self._driver.note if self._driver else "computed by torch"

    @property
    def knobs(self) -> dict[str, Any]:
        """All knob values now, fixed and live."""
        return {n: getattr(self.experiment, n) for n in type(self.experiment).fixed} | self._live

    def set(self, **live) -> None:
        """Move live knobs; the next step feels them. Fixed knobs are refused: they need a new run."""
        for name, value in live.items():
            if name not in self._live:
                raise ValueError(f"{name!r} is not a live knob; live: {', '.join(self._live) or 'none'}")
            self._live[name] = type(self.experiment).live[name].check(name, value)
        self._tensors = self._live_tensors()

    def step(self) -> dict[str, Tensor]:
        """One step; returns its info. After divergence the state stays at the last good step."""
        noise = self._draws["step"].at(self.t)
        with torch.no_grad():
            if self._driver is None:
                state, info = self.experiment.step(self._data, self.state, noise, self._tensors)
            else:
                state, info = self._driver.step(self._data, self.state, noise, self._tensors,
                                                left=self.steps - self.t)
        self.t += 1
        if not self._finite(info):
            return info
        self.state = state
        if self.t % self.plan.every == 0 or self.t == self.steps:
            self._record(info)
        return info

    def advance(self) -> None:
        """One step, with ``status`` brought up to date; does nothing once the run has ended."""
        if self.status.kind != "running":
            return
        self.step()
        if self.status.kind == "running":
            if self.t >= self.steps:
                self.status = Status("finished", f"finished: {self.t} steps", self.t)
            else:
                self.status = Status("running", f"running: step {self.t} of {self.steps}", self.t)

    def _finite(self, info: dict[str, Tensor]) -> bool:
        ok = info.get("ok")
        bad = ok is not None and not bool(ok.all())
        lost = [n for n, v in info.items() if n != "ok" and not math.isfinite(v)]
        if not bad and not lost:
            return True
        row = int((~ok.reshape(-1)).nonzero()[0]) if bad and ok.dim() else None
        time = float(info["t"]) if "t" in info and math.isfinite(info["t"]) else None
        what = (f"row {row}" if row is not None else lost[0] if lost else "the state")
        self.status = Status("diverged", f"diverged: {what} stopped being finite at step {self.t}"
                             + (f" (time {time:.3g})" if time is not None else "")
                             + f"; {self.plan.advice}", self.t, time, row)
        return False

    def _record(self, info: dict[str, Tensor]) -> None:
        for name, value in {"step": self.t, **{n: v for n, v in info.items() if n != "ok"}}.items():
            self._history.setdefault(name, []).append(float(value))

    def frame(self) -> Frame:
        """The frame of the present state (also after divergence: the last finite one)."""
        with torch.no_grad():
            arrays = (self._driver or self.experiment).observe(self._data, self.state, self._frozen_noise,
                                                               self._tensors)
        return Frame(self.t, {n: np.array(v) for n, v in self._history.items()},
                     {n: a.detach().cpu().numpy() for n, a in arrays.items()}, self.status, self.knobs,
                     self.seed, self.engine)

    def stop(self) -> None:
        """End the run here; the next frame is the last and says so."""
        if self.status.kind == "running":
            self.status = Status("stopped", f"stopped at step {self.t} of {self.steps}", self.t)

    def __next__(self) -> Frame:
        if self._fresh:
            self._fresh = False
            return self.frame()
        if self.status.kind != "running":
            raise StopIteration
        while self.status.kind == "running":
            self.advance()
            if self.t % self.plan.every == 0:
                break
        return self.frame()


def run(experiment, knobs: Mapping[str, Any] | None = None, *, seed: int = 0, steps: int | None = None,
        progress: bool = False, engine: str = "eager") -> Run:
    """Run an experiment (class or instance) with these knobs; yields frames, the first at step 0.

    ``engine``: "eager" is torch; "native" compiles the step first (5-10 s once, then kept on disk) and is
    several times as fast for small networks, refusing by name what cannot be compiled; "auto" begins with torch
    and changes over when a native program is ready and agrees. The first two give the same run every time, and
    equal each other up to float32 rounding; "auto" does so only up to rounding, as the change comes when it
    comes.
    ``progress`` writes a one-line bar to standard error while the run is consumed.
    """
    made = Run(experiment, knobs, seed=seed, steps=steps, engine=engine)
    return WithProgress(made) if progress else made


def last(frames: Iterator[Frame]) -> Frame:
    """Run to the end and return the last frame."""
    final = None
    for final in frames:
        pass
    return final


__all__ = ["Draws", "Frame", "Knob", "Plan", "Run", "Status", "View", "configure", "experiment", "knob",
           "knobs_of", "last", "registered", "run"]
