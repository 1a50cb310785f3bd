"""Traced functions outside torch: the WebAssembly that the book's pages run, compiled for this machine.

    from nde_lab import native
    from nde_lab.autodiff import value_and_grad

    def step(params, y0, dW):                      # any traceable function of tensors
        return value_and_grad(lambda p: loss_of(integrate(sde(p), y0, grid, dW, save="last")), params)

    fast = native.compile(step, (params, y0, dW))  # once: about a second, and 4 s more for torch's tracer
    loss, grads = fast(params, y0, dW)             # the same arguments and results, several times as fast

Small problems spend most of their time in torch between operators. Here a whole step (solver loop, its
reverse, the optimiser) is one program without anything in between. Results equal torch's up to float32
rounding (sums are added in another order), and are the same bits in every run on one machine; another machine
may differ in the last place, because products and sums are rounded once where the processor can. What
cannot be lowered (float64, operators outside the table, random operators, decisions on values) is refused by
name when compiling; nothing falls back silently.

Importing this package costs nothing; the tracer and ``wasmtime`` are imported by the first ``compile``.
"""
from __future__ import annotations


def compile(fn, args, *, constant=(), disk: bool = True, check: bool = True):  # noqa: A001
    """Compile ``fn`` for arguments shaped like ``args``; returns a ``Native``, a callable with the same
    signature.

    args      tuple of tensors, or dicts, lists and tuples of them; shapes and dtypes (float32, integers, bool)
              are fixed by it, values are not. Other tensors and numbers that ``fn`` uses are baked in
    constant  positions of arguments whose tensors rarely change (a data set): they are copied in again only
              when another tensor object comes, or torch has changed the same one in place. A change behind
              torch's back (through numpy) is not seen
    disk      keep the lowered module in the user's cache folder (``NDE_LAB_CACHE``), so that the same graph is
              not lowered again in another process
    check     compare the traced function with ``fn`` once

    Raises ValueError, naming the operator or dtype, for what cannot be traced or lowered, and where
    ``wasmtime`` has no code for this machine.
    """
    from nde_lab.native.compiler import compile as run
    return run(fn, args, constant=constant, disk=disk, check=check)


def available() -> str:
    """An empty string if native programs can run here, else a sentence that says why not."""
    from nde_lab.native.machine import available as ask
    return ask()


__all__ = ["available", "compile"]
