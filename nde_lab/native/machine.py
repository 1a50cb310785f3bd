"""A lowered module in Python: WebAssembly compiled by Cranelift (the ``wasmtime`` package), its memory as a
torch tensor.

The machine code works in a sandboxed memory of its own; tensors are copied in before a call and out after it.
The interpreter's lock is released while a program runs, and every thread that calls gets an instance for
itself.
"""
from __future__ import annotations

import atexit
import ctypes
import threading
import weakref
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from nde_lab.lowering import Assembled, Place


def available() -> str:
    """An empty string if native programs can run here, else a sentence that says why not."""
    try:
        _engine()
    except Exception as error:  # noqa: BLE001 - a missing package, or a platform that Cranelift has no code for
        return ("native programs need the package wasmtime on a 64-bit machine "
                f"({type(error).__name__}: {error})")
    return ""


_ALIVE: weakref.WeakSet = weakref.WeakSet()


def _kept(made):
    """``made`` (something that wasmtime will want to free itself), known to ``_leave``."""
    _ALIVE.add(made)
    return made


@atexit.register
def _leave() -> None:
    """The process frees its memory anyhow; wasmtime's finalisers, run late, would find their module half gone
    (and a thread may be inside a program)."""
    for made in _ALIVE:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))


@cache
def _engine():
    import wasmtime
    config = wasmtime.Config()
    config.memory_may_move = False       # sizes are known: addresses stay, and bounds need no checks
    config.wasm_relaxed_simd = True
    config.parallel_compilation = False  # a small module; the other cores have work of their own
    return _kept(wasmtime.Engine(config))


class _Instance:
    """One memory and the functions that work on it; used by one thread at a time."""

    def __init__(self, module, made: Assembled):
        import wasmtime
        self.store = _kept(wasmtime.Store(_engine()))
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.memory = self.exports["m"]
        size = self.memory.data_len(self.store)
        start = ctypes.addressof(self.memory.data_ptr(self.store).contents)
        raw = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(start))
        for offset, values in made.constants:
            raw[4 * offset:4 * offset + len(values)] = np.frombuffer(values, np.uint8)
        self.floats = torch.from_numpy(raw.view(np.float32))
        self.integers = torch.from_numpy(raw.view(np.int32))
        self.views = {(name, kind): [self._view(p) for p in places]
                      for name, program in made.programs.items() for kind, places in program.items()}
        self.seen: dict[str, list] = {name: [(None, 0)] * len(p["inputs"]) for name, p in made.programs.items()}
        self.functions = {name: self.exports[name] for name in made.programs}

    def _view(self, p: Place) -> Tensor:
        memory = self.floats if p.dtype == "float32" else self.integers
        return memory[p.offset:p.offset + p.size].reshape(p.shape)


class Machine:
    """The programs of one module, callable from any thread.

    dtypes: program -> the torch dtypes of its outputs (integers are 32-bit inside and int64 outside).
    """

    def __init__(self, made: Assembled, dtypes: dict[str, Sequence[torch.dtype]]):
        if why := available():
            raise ValueError(why)
        import wasmtime
        self.made, self.dtypes = made, {name: list(d) for name, d in dtypes.items()}
        self._module = _kept(wasmtime.Module(_engine(), made.wasm))
        self._idle: list[_Instance] = []
        self._lock = threading.Lock()

    def inputs(self, program: str) -> list[Place]:
        return self.made.programs[program]["inputs"]

    def outputs(self, program: str) -> list[Place]:
        return self.made.programs[program]["outputs"]

    def call(self, program: str, leaves: Sequence[Tensor], held: Sequence[bool] | None = None) -> list[Tensor]:
        """Run ``program`` on its inputs in order; new tensors, nothing attached to autograd.

        ``held`` marks inputs that are not copied again while they are the same, unchanged tensor objects.
        """
        with self._lock:
            instance = self._idle.pop() if self._idle else None
        instance = instance or _Instance(self._module, self.made)
        try:
            self._fill(instance, program, leaves, held)
            instance.functions[program](instance.store)
            return [self._take(view, p, dtype) for view, p, dtype in zip(
                instance.views[program, "outputs"], self.outputs(program), self.dtypes[program], strict=True)]
        finally:
            with self._lock:
                self._idle.append(instance)

    def _fill(self, instance: _Instance, program: str, leaves: Sequence[Tensor], held) -> None:
        places, seen = self.inputs(program), instance.seen[program]
        if len(leaves) != len(places):
            raise ValueError(f"{program} takes {len(places)} tensors, got {len(leaves)}")
        for i, (view, p, leaf) in enumerate(zip(instance.views[program, "inputs"], places, leaves,
        strict=True)):
            if held is not None and held[i]:
                if seen[i][0] is leaf and seen[i][1] == leaf._version:
                    continue
                seen[i] = (leaf, leaf._version)
            _copy_in(view, p, leaf)

    @staticmethod
    def _take(view: Tensor, p: Place, dtype: torch.dtype) -> Tensor:
        return view != 0 if p.dtype == "bool" else view.clone() if view.dtype == dtype else view.to(dtype)


def _copy_in(view: Tensor, p: Place, leaf: Tensor) -> None:
    if leaf.shape != view.shape:
        raise ValueError(f"the program was compiled for {p.name or 'an input'} of shape {tuple(p.shape)}, got "
                         f"{tuple(leaf.shape)}; compile again for other shapes")
    kind = "float32" if leaf.dtype == torch.float32 else "bool" if leaf.dtype == torch.bool else "int32"
    if leaf.is_floating_point() and leaf.dtype != torch.float32 or kind != p.dtype:
        raise ValueError(f"the program was compiled for {p.name or 'an input'} of {p.dtype}, got {leaf.dtype}")
    if leaf.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{p.name or 'an input'} requires a gradient, and native programs record none; take "
                         "the gradient inside the function (autodiff.value_and_grad), or call under "
                         "torch.no_grad()")
    if leaf.dtype == torch.int64 and not -2**31 <= int(leaf.min()) <= int(leaf.max()) < 2**31:
        raise ValueError(f"integers in native programs have 32 bits; {p.name or 'an input'} holds a larger one")
    view.copy_(leaf.detach())
    if p.dtype == "bool":
        view.neg_()

