"""Who computes the steps of one run: torch, or the native program once it has agreed with torch.

    eager    torch, always
    native   the native program from the first step on; ValueError where there is none or it disagrees
    auto     torch until the native program is ready, then the native program; torch to the end where there is
    none

A native program takes over only after ``CHECKS`` steps (and one observation) that both computed from the same
state agree to ``TOLERANCE``, relative to one plus the largest entry of each tensor. ``eager`` and ``native``
runs can be repeated bit by bit; in an ``auto`` run the step of the change depends on the clock, so two of
them agree only as far as float32 rounding lets training repeat.
"""
from __future__ import annotations

import threading
import time

import torch
from torch import Tensor

from nde_lab.native import experiments

MODES = ("eager", "native", "auto")
CHECKS = 2
TOLERANCE = 1e-5
LATER = 5                        # steps of an auto run before it looks on the disk: first pictures come first
WORTH = 10.0                     # seconds that a run must still expect to take before a program is built for it


class Driver:
    """The ``step`` and ``observe`` of one run. ``engine`` is "eager" or "native", ``note`` says why, in
    words."""

    def __init__(self, experiment, mode: str, examples: experiments.Examples):
        if mode not in MODES:
            raise ValueError(f"engine is one of {', '.join(MODES)}, got {mode!r}")
        self.experiment, self.mode = experiment, mode
        self.engine, self.note = "eager", "computed by torch"
        self._examples, self._programs, self._agreed, self._observed = examples, None, 0, False
        self._begun, self._seconds, self._steps = False, 0.0, 0
        if mode == "native":
            self._programs = experiments.get(experiment, examples)
        elif mode == "auto":
            self._look()

    def step(self, data, state, noise, live, *, left: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One step; ``left`` is how many more the run expects."""
        if self.mode == "auto" and self._programs is None:
            self._look()
        if self._programs is not None and self._agreed >= CHECKS:
            return self._programs.step(data, state, noise, live)
        started = time.perf_counter()
        expected = self.experiment.step(data, state, noise, live)
        self._seconds = time.perf_counter() - started
        if self._programs is None:
            self._consider(left)
            return expected
        got = self._programs.step(data, state, noise, live)
        if not self._same("step", expected[0] | expected[1], got[0] | got[1]):
            return expected
        self._agreed += 1
        if self._agreed == CHECKS:
            self.engine, self.note = "native", "computed by the native program"
        return got if self.mode == "native" else expected

    def observe(self, data, state, noise, live) -> dict[str, Tensor]:
        if self._programs is None or self._agreed < CHECKS:
            return self.experiment.observe(data, state, noise, live)
        got = self._programs.observe(data, state, noise, live)
        if not self._observed:
            expected = self.experiment.observe(data, state, noise, live)
            self._observed = self._same("observe", expected, got)
            return got if self._observed else expected
        return got

    def _look(self) -> None:
        self._programs, refused = experiments.found(self.experiment)
        if refused:
            self._give_up(f"no native program: {refused}")

    def _give_up(self, why: str) -> None:
        self._programs, self.mode, self.engine = None, "eager", "eager"
        self.note = f"computed by torch ({why})"

    def _consider(self, left: int) -> None:
        self._steps += 1
        if self.mode == "auto" and self._steps >= LATER and not self._begun:
            self._begun = left * self._seconds > WORTH
            if self._begun or self._steps == LATER:
                # A figure's worker thread is not the main one, and nothing may slow it down.
                here = threading.current_thread() is threading.main_thread()
                experiments.begin(self.experiment, self._examples, build=self._begun, here=here)

    def _same(self, what: str, expected: dict[str, Tensor], got: dict[str, Tensor]) -> bool:
        for name, e in expected.items():
            if (far := apart(e, got[name])) > TOLERANCE:
                why = (f"its native program differs from torch in {what}'s {name} by {far:.1e}, more than "
                       f"rounding ({TOLERANCE:.0e})")
                if self.mode == "native":
                    raise ValueError(f"{type(self.experiment).__name__}: {why}; use engine=\"eager\"")
                self._give_up(why)
                return False
        return True


def apart(expected: Tensor, got: Tensor) -> float:
    """The largest difference of any entry, relative to one plus the largest entry (infinite where one is
    finite and the other is not)."""
    e, g = expected.detach().double(), got.double()
    finite = e.isfinite()
    if e.shape != g.shape or not torch.equal(finite, g.isfinite()):
        return float("inf")
    size = e[finite].abs().max() if bool(finite.any()) else e.new_zeros(())
    return float((e[finite] - g[finite]).abs().max() / (1 + size)) if bool(finite.any()) else 0.0
