"""Lowering: traced torch functions to one small WebAssembly module, and the JavaScript around it.

``nde_lab.native`` runs the WebAssembly in Python (``assemble``), the book's pages run it with its JavaScript
(``lower``): one program for both.

    lowered = lower({"init": graph, "step": graph, "observe": graph})

The graphs come from ``nde_lab.autodiff.trace``. ``lowered.source`` is a JavaScript function expression (no
import, no fetch, safe in a classic script or a worker); ``lowered.manifest`` is ``{"programs": {name:
{"inputs": [...], "outputs": [...]}}, "bytes": {...}}`` with inputs and outputs as lists of {"name", "shape",
"dtype"}, dtype one of "float32", "int32", "bool". In JavaScript:

    const made = (SOURCE)({wasm: true})      // {wasm: false} forces plain JavaScript;
                                             // without SIMD it is chosen by itself
    made.engine                              // "wasm" or "plain"
    const out = made.programs.step({"state/w": Float32Array, "live/lr": 0.01, ...})
    out["1/loss"]                            // a typed array (length 1 for a 0-d tensor)

* Arrays are flat, row-major: Float32Array, Int32Array (torch int64 becomes int32), Uint8Array of 0/1 for
  bool.
* A 0-d input may be a number. An input that is left out keeps the value of the last call (data once, then
  state).
* Outputs are views of the module's memory, overwritten by the next call of the same program: copy
  (``.slice()``) what must last. Passing one program's outputs on as inputs is fine: inputs are copied in
  before anything runs.
* Names are those of ``graph.meta["inputs"]`` and ``graph.meta["outputs"]``.
* Compiling is synchronous: call the source in a worker (the main thread limits synchronous compilation).
* Errors: ``Error`` for an unknown input name or a wrong number of entries. Numerical trouble is not an error:
  look at the program's own "ok" output.

Unknown operators, float64 tensors and empty tensors are refused at lowering time with a ValueError naming
them.

The way through the folder: decompose (torch's operators to those of the table) -> build (graph to expressions
and statements of ``ir``; the table is elementwise, shapes, reductions, indexing, loops) -> plan (hoisting,
merging, memory) -> nest (loops) -> emit with expressions, kernels, functions, matmul, wasm (machine code),
and plain (the same as JavaScript) -> package.
"""
from __future__ import annotations

from nde_lab.lowering.package import Assembled, Lowered, Place, assemble


def lower(graphs: dict, *, plain: bool = True) -> Lowered:
    """Lower traced graphs (name -> ``torch.fx.GraphModule`` from ``nde_lab.autodiff.trace``) to one module.

    plain=False leaves out the plain JavaScript engine (smaller; fails where WebAssembly SIMD is missing).
    Raises ValueError naming an operator or dtype outside the supported set.
    """
    from nde_lab.lowering.package import package  # imports torch's decompositions
    return package(graphs, plain=plain)


__all__ = ["Assembled", "Lowered", "Place", "assemble", "lower"]
