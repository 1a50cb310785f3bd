"""A loop as one operator: its body and the reverse of its body recorded once each.

``record`` stands in for ``loop`` while tracing. It (1) runs the body once to find the tensors it closes over,
(2) traces the body together with its vector-Jacobian product, (3) splits that joint graph into a forward and
a reverse graph, and (4) calls the operator ``nde_lab::loop``, whose autograd rule calls
``nde_lab::loop_reverse``. What the reverse needs from the forward pass is saved turn by turn: results of
matrix products, reductions and transcendental functions are stored, cheap element-wise results and views are
computed again.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing, make_fx
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from nde_lab.autodiff import operators
from nde_lab.autodiff.eager import turns
from nde_lab.autodiff.operators import Body

# Operators that the reverse pass computes again rather than reads from memory.
CHEAP = {"add", "sub", "mul", "div", "neg", "where", "gt", "lt", "ge", "le", "eq", "ne", "t", "transpose",
         "permute",
         "view", "reshape", "_unsafe_view", "expand", "unsqueeze", "squeeze", "select", "slice", "detach",
         "alias",
         "relu", "sin", "cos", "zeros_like", "ones_like", "full_like", "full", "scalar_tensor", "clone"}


class _Captures(TorchFunctionMode):
    """Collects the tensors that a function uses but was not given, in order of first use."""

    def __init__(self, given: list[Tensor]):
        super().__init__()
        self.known = {id(t): t for t in given}
        self.found: list[Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        for leaf in pytree.tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor) and id(leaf) not in self.known:
                self.known[id(leaf)] = leaf
                self.found.append(leaf)
        out = func(*args, **(kwargs or {}))
        # Kept alive on purpose: a freed tensor's id may be given to another one.
        self.known.update({id(t): t for t in pytree.tree_leaves(out) if isinstance(t, Tensor)})
        return out


class _Substitute(TorchFunctionMode):
    """Replaces tensors by identity in every call."""

    def __init__(self, old: list[Tensor], new: list[Tensor]):
        super().__init__()
        self.table = {id(o): n for o, n in zip(old, new, strict=True)}

    def swap(self, tree):
        return pytree.tree_map(lambda leaf: self.table.get(id(leaf), leaf) if isinstance(leaf, Tensor)
                               else leaf, tree)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*self.swap(args), **self.swap(kwargs or {}))


def _example(t: Tensor) -> Tensor:
    return t.detach().clone()


def _check_carry(before: list, after: list) -> None:
    if len(before) != len(after):
        raise ValueError(f"the body of a loop got {len(before)} carried tensors and returned {len(after)}")
    for b, a in zip(before, after, strict=True):
        if (b is None) != (a is None) or b is not None and (b.shape, b.dtype) != (a.shape, a.dtype):
            show = [None if t is None else (tuple(t.shape), str(t.dtype)) for t in (b, a)]
            raise ValueError(f"the body of a loop must return the carry in the shape and dtype it got, "
                             f"but turned {show[0]} into {show[1]}")


def _leaves_like(tree: Any, like: Any) -> list:
    """The leaves of ``tree`` in the order of ``like``: dicts with the same keys count as equal in any order."""
    if isinstance(tree, dict) and isinstance(like, dict):
        if set(tree) != set(like):
            raise ValueError(f"the body of a loop must return the names that it got, {sorted(like)}, "
                             f"but returned {sorted(tree)}")
        return [leaf for name in like for leaf in _leaves_like(tree[name], like[name])]
    if isinstance(tree, tuple | list) and isinstance(like, tuple | list) and len(tree) == len(like):
        return [leaf for t, k in zip(tree, like, strict=True) for leaf in _leaves_like(t, k)]
    return pytree.tree_leaves(tree)


def record(body: Callable, carry: Any, xs: Any) -> tuple[Any, Any]:
    """``loop(body, carry, xs)`` as a call of the loop operator (while tracing)."""
    n, _ = turns(xs)
    carries, carry_spec = pytree.tree_flatten(carry)
    x_leaves, x_spec = pytree.tree_flatten(xs)
    spec: dict[str, Any] = {}

    # Work on the leaves that are tensors; None leaves are put back by position.
    c_pos = [i for i, c in enumerate(carries) if c is not None]
    x_pos = [i for i, x in enumerate(x_leaves) if x is not None]

    def rebuild(template_spec, size, positions, tensors):
        leaves = [None] * size
        for i, t in zip(positions, tensors, strict=True):
            leaves[i] = t
        return pytree.tree_unflatten(leaves, template_spec)

    def flat_body(c: list[Tensor], x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        new, y = body(rebuild(carry_spec, len(carries), c_pos, c), rebuild(x_spec, len(x_leaves), x_pos, x))
        new_leaves = _leaves_like(new, carry)
        _check_carry(carries, new_leaves)
        y_leaves, spec["y"] = pytree.tree_flatten(y)
        spec["y_pos"] = [i for i, leaf in enumerate(y_leaves) if leaf is not None]
        spec["y_len"] = len(y_leaves)
        return [new_leaves[i] for i in c_pos], [y_leaves[i] for i in spec["y_pos"]]

    cs, ts = [carries[i] for i in c_pos], [x_leaves[i] for i in x_pos]
    with disable_proxy_modes_tracing():
        c0, x0 = [_example(c) for c in cs], [_example(t[0]) for t in ts]
        with torch.no_grad(), _Captures(c0 + x0) as seen:
            outs = sum(flat_body(c0, x0), [])
        captured = seen.found
        wanted = ([torch.is_grad_enabled() and any(t.requires_grad for t in cs + ts + captured) and
                   c.is_floating_point() for c in cs]
                  + [torch.is_grad_enabled() and t.requires_grad for t in ts + captured])
        key = operators.register(_trace_body(flat_body, c0, x0, captured, outs, wanted, n))
    out = operators.call(key, cs + ts + captured)
    new = rebuild(carry_spec, len(carries), c_pos, out[:len(cs)])
    ys = rebuild(spec["y"], spec["y_len"], spec["y_pos"], out[len(cs):len(cs) + len(spec["y_pos"])])
    return new, ys


def _trace_body(flat_body: Callable, c0: list, x0: list, captured: list, outs: list, wanted: list[bool],
                n: int) -> Body:
    """Trace body and vjp jointly, and split. ``outs``: an example of the body's carries and ys."""
    k, m = len(c0), len(c0) + len(x0)
    examples = c0 + x0 + [_example(t) for t in captured]
    grads = any(wanted)

    def joint(inputs: list[Tensor], cotangents: list[Tensor]):
        with torch.set_grad_enabled(grads):
            leaves = [t.detach().requires_grad_(w) for t, w in zip(inputs, wanted, strict=True)]
            # An alias for each captured tensor, so that a captured tensor the body returns is an output too.
            with _Substitute(captured, leaves[m:]) as swap:
                new, y = flat_body(leaves[:k], leaves[k:m])
            outs = swap.swap(new + y)
        if not grads:
            return outs
        pairs = [(o, g) for o, g in zip(outs, cotangents, strict=True) if o.requires_grad]
        found = torch.autograd.grad([o for o, _ in pairs], [t for t in leaves if t.requires_grad],
                                    [g for _, g in pairs], allow_unused=True) if pairs else []
        back = iter(found or [None] * sum(wanted))
        full = [next(back) if w else None for w in wanted]
        return outs + [torch.zeros_like(t) if g is None else g
                       for g, t, w in zip(full, inputs, wanted, strict=True) if w]

    cotangents = [torch.ones_like(t) for t in outs] if grads else []
    with torch.no_grad():
        gm = make_fx(joint)([_example(t) for t in examples], cotangents)
    forward, reverse, saved = _split(gm, len(examples), len(outs), k, grads)
    return Body(forward, reverse, turns=n, carries=k, xs=len(x0), wanted=tuple(wanted),
                ys=[(tuple(t.shape), t.dtype) for t in outs[k:]], saved=saved)


def _split(gm: GraphModule, n_in: int, n_out: int, k: int, grads: bool):
    """The joint graph (n_in inputs, of which k carries; n_out results, then cotangents) as a forward graph, a
    reverse graph (or None), and the shapes and dtypes of what the first saves for the second."""
    graph = gm.graph
    places = [node for node in graph.nodes if node.op == "placeholder"]
    inputs, cotangents = places[:n_in], places[n_in:]
    results = graph.output_node().args[0]
    outs, backs = results[:n_out], results[n_out:]
    # Nodes that depend on a cotangent belong to the reverse graph.
    late: set[Node] = set(cotangents)
    for node in graph.nodes:
        if any(a in late for a in node.all_input_nodes):
            late.add(node)
    forward = set(graph.nodes) - late
    saved: dict[Node, None] = {}
    again: set[Node] = set()

    def need(node: Node) -> None:                       # a forward value that the reverse graph reads
        if node in saved or node in again:
            return
        if node in inputs[k:] or node.op == "get_attr":
            again.add(node)                             # xs, captured tensors and constants are at hand
        elif node.op == "call_function" and _name(node) in CHEAP:
            again.add(node)
            for a in node.all_input_nodes:
                need(a)
        else:
            saved[node] = None

    for node in graph.nodes:
        if node in late and node.op != "output":
            for a in node.all_input_nodes:
                if a in forward:
                    need(a)
    for b in backs:
        if b in forward:
            need(b)
    fwd = _subgraph(gm, inputs, [*outs, *saved])
    rev = _subgraph(gm, [*cotangents, *inputs[k:], *saved], backs) if grads else None
    return fwd, rev, [(tuple(node.meta["val"].shape), node.meta["val"].dtype) for node in saved]


def _name(node: Node) -> str:
    target = node.target
    return getattr(getattr(target, "overloadpacket", target), "__name__", str(target))


def _subgraph(gm: GraphModule, inputs: list[Node], outputs: list[Node]) -> GraphModule:
    """The part of ``gm`` that computes ``outputs`` from ``inputs``."""
    graph, table = Graph(), {}
    for node in inputs:
        table[node] = graph.placeholder(f"in{len(table)}")
        table[node].meta = dict(node.meta)
    wanted, todo = set(), [o for o in outputs]
    while todo:
        node = todo.pop()
        if node not in wanted and node not in table:
            wanted.add(node)
            todo += node.all_input_nodes
    for node in gm.graph.nodes:
        if node in wanted:
            table[node] = graph.node_copy(node, table.__getitem__)
    graph.output([table[o] for o in outputs])
    return GraphModule(gm, graph)
