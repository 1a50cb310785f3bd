"""``trace``: a function of tensors as a flat graph of aten operators, checked against the function itself."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from nde_lab.autodiff import eager, operators
from nde_lab.autodiff.recording import record

aten = torch.ops.aten


def trace(fn: Callable, args: tuple, *, unroll: bool = False, check: bool = True) -> GraphModule:
    """See ``nde_lab.autodiff.trace``."""
    leaves, spec = pytree.tree_flatten(tuple(args))
    if bad := [type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Tensor)]:
        raise ValueError(f"trace takes pytrees of tensors, found {bad[0]}; wrap numbers with torch.tensor "
                         "or close over them")
    meta: dict[str, Any] = {"inputs": _input_names(fn, args)}

    def flat(*tensors: Tensor) -> list[Tensor]:
        out = fn(*pytree.tree_unflatten(list(tensors), spec))
        paths, meta["out_spec"] = pytree.tree_flatten_with_path(out)
        meta["outputs"] = ["/".join(_key(k) for k in path) for path, _ in paths]
        if wrong := [n for n, (_, v) in zip(meta["outputs"], paths, strict=True)
                     if not isinstance(v, Tensor)]:
            raise ValueError(f"a traced function returns tensors only; {wrong[0] or 'its result'} is not one")
        return [v for _, v in paths]

    # Distinct objects: make_fx would tie two arguments that are the same tensor into one.
    fresh = [leaf.detach().clone() for leaf in leaves]
    before = getattr(eager.RECORDER, "loop", None)
    eager.RECORDER.loop = None if unroll else record
    try:
        with torch.no_grad():
            gm = make_fx(flat)(*fresh)
    except RuntimeError as error:
        raise _refusal(error, fn) from error
    finally:
        eager.RECORDER.loop = before
    tidy(gm)
    refuse(gm)
    for key in loops_of(gm):
        body = operators.BODIES[key]
        for part in (body.forward, body.reverse):
            if isinstance(part, GraphModule):
                tidy(part)
                refuse(part)
    gm.meta.update(meta)
    if check:
        compare(gm, flat, leaves)
    return gm


def _key(k) -> str:
    return str(getattr(k, "key", getattr(k, "idx", k)))


def _input_names(fn: Callable, args: tuple) -> list[str]:
    try:
        names = list(inspect.signature(fn).parameters)
    except ValueError:                                      # a builtin has no signature
        names = []
    paths, _ = pytree.tree_flatten_with_path(tuple(args))
    return ["/".join([names[path[0].idx] if path[0].idx < len(names) else str(path[0].idx),
                      *map(_key, path[1:])]) for path, _ in paths]


def _refusal(error: RuntimeError, fn: Callable) -> Exception:
    text = str(error)
    if "_local_scalar_dense" in text:
        name = getattr(fn, "__name__", "the function")
        return ValueError(f"{name} decides in Python on the value of a tensor (an if, float(), .item() or a "
                          "shape taken from values); use torch.where, or make it a fixed knob")
    return error


def tidy(gm: GraphModule) -> None:
    """Remove dead code and operators that do nothing to values."""
    graph = gm.graph
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target in (aten.detach.default, aten.alias.default,
                                                          aten.lift_fresh_copy.default,
                                                          aten.lift_fresh.default):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    graph.eliminate_dead_code()
    gm.recompile()


def refuse(gm: GraphModule) -> None:
    """A ValueError that names the first operator which no traced function may contain."""
    for node in gm.graph.nodes:
        tags = getattr(node.target, "tags", ()) if node.op == "call_function" else ()
        if torch.Tag.nondeterministic_seeded in tags:
            raise ValueError(f"{node.target} draws random numbers inside a traced function; declare the "
                             "tensor in draws() and take it from `noise`")
        if torch.Tag.dynamic_output_shape in tags and not _static_index(node):
            raise ValueError(f"{node.target} gives a tensor whose shape depends on values; use torch.where "
                             "or a fixed-size index")


def _static_index(node: Node) -> bool:
    if node.target is not aten.index.Tensor:
        return False
    return all(i is None or i.meta["val"].dtype != torch.bool for i in node.args[1])


def loops_of(gm: GraphModule) -> list[str]:
    """The keys of all recorded loops of a graph, those inside bodies too."""
    found = []
    for node in gm.graph.nodes:
        if node.op == "call_function" and getattr(node.target, "namespace", "") == "nde_lab":
            key = node.args[0]
            if key not in found:
                found.append(key)
                body = operators.BODIES[key]
                for part in (body.forward, body.reverse):
                    if isinstance(part, GraphModule):
                        found += [k for k in loops_of(part) if k not in found]
    return found


def _close(e: Tensor, g: Tensor) -> bool:
    """Equal up to rounding, which is measured against the largest finite entry (gradients may span many
    orders)."""
    if not e.is_floating_point() or not e.numel():
        return torch.equal(e, g)
    size = torch.nan_to_num(e, 0.0, 0.0, 0.0).abs().max().item()
    return torch.allclose(e, g, rtol=1e-4, atol=1e-6 + 1e-4 * size, equal_nan=True)


def compare(gm: GraphModule, flat: Callable, leaves: list[Tensor]) -> None:
    """Traced against eager on inputs that differ a little from those of the trace; a difference is a
    ValueError."""
    made = torch.Generator().manual_seed(0)
    moved = [t.detach() * (1 + 0.01 * torch.rand(t.shape, generator=made, dtype=t.dtype))
             if t.is_floating_point()
             else t.detach().clone() for t in leaves]
    with torch.no_grad():
        expected, got = flat(*moved), gm(*moved)
    for name, e, g in zip(gm.meta["outputs"], expected, got, strict=True):
        if e.shape != g.shape or e.dtype != g.dtype or not _close(e, g):
            raise ValueError(f"the traced function and the function itself differ in {name or 'the result'}; "
                             "it depends on something besides its arguments (a counter, a cache, a tensor it "
                             "changes)")
