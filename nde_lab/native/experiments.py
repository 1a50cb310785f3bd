"""The step and the observables of an experiment as native programs, made once per combination of fixed knobs.

``get`` makes them now. ``begin`` makes them in the background: read from disk where an earlier process has left
them, else, for the book's own experiments, made by a process of its own at low priority (the tracer's import
would hold this interpreter for seconds), and for experiments of a notebook in a thread. ``found`` says what
there is at this moment, and never waits.
"""
from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from nde_lab.native import compiler, store
from nde_lab.native.machine import Machine, available

Examples = Callable[[], tuple[tuple, tuple]]           # -> the arguments of a step, and of observe


class Programs:
    """``step`` and ``observe`` with the experiment's own signatures; results to float32 rounding, no
    autograd."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self._names = {p: [place.name.split("/", 1) for place in machine.inputs(p)]
                       for p in ("step", "observe")}
        self._held = {p: [group != "state" and (group, p) != ("noise", "step") for group, _ in names]
                      for p, names in self._names.items()}
        self._step_out = [place.name.split("/", 1) for place in machine.outputs("step")]
        self._observe_out = [place.name for place in machine.outputs("observe")]

    def _call(self, program: str, groups: dict) -> list[Tensor]:
        return self.machine.call(program, [groups[g][n] for g, n in self._names[program]], self._held[program])

    def step(self, data, state, noise, live) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        out = self._call("step", {"data": data, "state": state, "noise": noise, "live": live})
        parts: tuple[dict, dict] = ({}, {})
        for (part, name), value in zip(self._step_out, out, strict=True):
            parts[int(part)][name] = value
        return parts

    def observe(self, data, state, noise, live) -> dict[str, Tensor]:
        out = self._call("observe", {"data": data, "state": state, "noise": noise, "live": live})
        return dict(zip(self._observe_out, out, strict=True))


@dataclass
class _Entry:
    programs: Programs | None = None
    refused: str = ""
    work: subprocess.Popen | threading.Thread | None = None

    @property
    def settled(self) -> bool:
        return self.programs is not None or bool(self.refused)


_ENTRIES: dict[tuple, _Entry] = {}
_LOCK = threading.Lock()                                # guards the table
_MAKING = threading.Lock()                              # one preparation at a time


def _entry(experiment) -> _Entry:
    fixed = tuple((n, repr(getattr(experiment, n))) for n in type(experiment).fixed)
    with _LOCK:
        return _ENTRIES.setdefault((type(experiment), fixed), _Entry())


def disk_key(experiment) -> str | None:
    """What an experiment of the package is kept under; None for others, whose code we cannot see whole."""
    cls = type(experiment)
    if not cls.__module__.startswith("nde_lab."):
        return None
    fixed = {n: getattr(experiment, n) for n in sorted(cls.fixed)}
    return f"experiment {cls.__module__}.{cls.__qualname__} {fixed!r} {store.package_hash()}"


def get(experiment, examples: Examples) -> Programs:
    """The programs, made now if need be. Raises ValueError with the reason where they cannot be made."""
    entry = _entry(experiment)
    with _MAKING:
        if not entry.settled:
            try:
                entry.programs = _load(experiment) or _make(experiment, examples)
            except ValueError as error:
                entry.refused = str(error)
    if entry.programs is None:
        raise ValueError(entry.refused)
    return entry.programs


def found(experiment) -> tuple[Programs | None, str]:
    """(programs, reason of a refusal): (None, "") while there is neither."""
    entry = _entry(experiment)
    if not entry.settled and isinstance(entry.work, subprocess.Popen) and entry.work.poll() is not None:
        failed, entry.work = entry.work.returncode, None
        if failed:                                      # it could not even say why
            entry.refused = f"the process that compiles it ended with code {failed}"
        else:
            _in_thread(entry, lambda: _load(experiment))
    return entry.programs, entry.refused


def begin(experiment, examples: Examples, *, build: bool = True, here: bool = True) -> None:
    """See to it that ``found`` has an answer some day; returns at once.

    build=False only looks on the disk; here=False builds in no thread of this process (which would slow a live
    figure down for seconds). ``examples`` is called in another thread.
    """
    entry = _entry(experiment)
    with _LOCK:
        if entry.settled or entry.work is not None:
            return
        key = disk_key(experiment)
        if key is not None and store.path_of(key).exists():
            _in_thread(entry, lambda: _load(experiment))
        elif build and key is None and here:
            _in_thread(entry, lambda: _make(experiment, examples))
        elif build and key is not None and not _busy():
            entry.work = _process(experiment)


def _busy() -> bool:
    return any(isinstance(e.work, subprocess.Popen) and e.work.poll() is None for e in _ENTRIES.values())


def _in_thread(entry: _Entry, job: Callable[[], Programs | None]) -> None:
    def work() -> None:
        try:
            with _MAKING:
                made = job()
            if made is None:
                entry.refused = "its compiled form could not be read from the disk"
            entry.programs = made
        except Exception as error:  # noqa: BLE001 - whatever it was, torch goes on and the note says why
            entry.refused = str(error) or type(error).__name__
        entry.work = None
    entry.work = threading.Thread(target=work, name="nde-lab-native", daemon=True)
    entry.work.start()


def _load(experiment) -> Programs | None:
    key = disk_key(experiment)
    machine = None if key is None else compiler.from_disk(key)
    return None if machine is None else Programs(machine)


def _make(experiment, examples: Examples) -> Programs:
    from nde_lab.autodiff import trace
    if why := available():                              # of this machine, not of the experiment: not kept
        raise ValueError(why)
    key = disk_key(experiment)
    step_args, observe_args = examples()
    try:
        if experiment.plan.dtype != "float32":
            raise ValueError(f"native programs compute in float32; {type(experiment).__name__} asks for "
                             f"{experiment.plan.dtype}")
        step = lambda data, state, noise, live: experiment.step(data, state, noise, live)          # noqa: E731
        observe = lambda data, state, noise, live: experiment.observe(data, state, noise, live)    # noqa: E731
        graphs = {"step": trace(step, step_args), "observe": trace(observe, observe_args)}
        return Programs(compiler.from_graphs(key, graphs))
    except ValueError as error:
        if key is not None:
            store.save_refusal(key, str(error))
        raise


def _process(experiment) -> subprocess.Popen:
    cls = type(experiment)
    fixed = json.dumps({n: getattr(experiment, n) for n in cls.fixed})
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "nde_lab.native.prepare", cls.__module__, cls.__qualname__, fixed]
    made = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, **quiet)
    atexit.register(_end, made)
    return made


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(timeout=5)
