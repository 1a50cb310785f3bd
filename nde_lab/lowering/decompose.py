"""Graphs in the operators of the table: torch's own decompositions applied, loop bodies too."""
from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from nde_lab.autodiff import operators as loops
from nde_lab.autodiff.tracing import loops_of, tidy

# Importing these fills the table of operators.
from nde_lab.lowering import build, elementwise, indexing, reductions, shapes  # noqa: F401
from nde_lab.lowering import loops as _loop_operators  # noqa: F401
from nde_lab.lowering.build import TABLE, Program, dtype_of

aten = torch.ops.aten
# Decompositions beyond the core set.
EXTRA = [aten._softmax, aten._log_softmax, aten.native_layer_norm, aten.logsumexp, aten.elu, aten.hardtanh,
         aten.gelu,
         aten.var.correction, aten.index_add, aten.var_mean.correction, aten._unsafe_index, aten.roll,
         aten.softplus]


@cache
def table() -> dict:
    """Torch's decompositions, minus the operators that the lowering knows itself."""
    chosen = {**core_aten_decompositions(), **get_decompositions(EXTRA)}
    return {op: fn for op, fn in chosen.items() if str(op) not in TABLE}


def decomposed(gm: GraphModule, decompositions: dict) -> GraphModule:
    """``gm`` traced again through the decompositions (on shapes only), operators that write in place
    replaced."""
    examples = [torch.empty(v.shape, dtype=v.dtype) for v in
                (node.meta["val"] for node in gm.graph.nodes if node.op == "placeholder")]
    run = lambda *args: list(gm(*args))                                    # noqa: E731
    if any(str(node.target).split(".")[1].endswith("_") for node in gm.graph.nodes
           if str(node.target).startswith("aten.")):
        run = torch.func.functionalize(run, remove="mutations")
    with torch.no_grad():
        out = make_fx(run, decomposition_table=decompositions, tracing_mode="fake",
                      _allow_non_fake_inputs=True)(*examples)
    tidy(out)
    return out


def build_program(gm: GraphModule) -> Program:
    """The statements of a traced graph."""
    decompositions = table()
    bodies = {key: replace(loops.BODIES[key], **{part: decomposed(graph, decompositions)
                                                 for part in ("forward", "reverse")
                                                 if (graph := getattr(loops.BODIES[key], part)) is not None})
              for key in loops_of(gm)}
    values = [node.meta["val"] for node in gm.graph.nodes if node.op == "placeholder"]
    inputs = [(name, tuple(v.shape), dtype_of(v.dtype)) for name,
              v in zip(gm.meta["inputs"], values, strict=True)]
    return build.build(decomposed(gm, decompositions), inputs, gm.meta["outputs"], bodies)
