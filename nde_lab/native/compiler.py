"""``compile``: a function of tensors, traced, lowered and kept, as a callable with the same arguments."""
from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from nde_lab.native import store, tree
from nde_lab.native.machine import Machine, available

_MACHINES: OrderedDict[str, Machine] = OrderedDict()       # key -> compiled module, the most recent ones
_KEEP = 32
_LOCK = threading.Lock()


class Native:
    """A compiled function. Call it with arguments like those it was compiled for; returns new tensors.

    May be called from several threads at once. ``machine`` holds the module, ``program`` its name there.
    """

    def __init__(self, machine: Machine, program: str, template, out_spec, held: list[bool]):
        self.machine, self.program = machine, program
        self._template, self._out_spec, self._held = template, out_spec, held if any(held) else None

    def __call__(self, *args):
        found = tree.leaves(self._template, args, [])
        return pytree.tree_unflatten(self.machine.call(self.program, found, self._held), self._out_spec)


def compile(fn: Callable, args: tuple, *, constant: Iterable[int] = (), disk: bool = True,  # noqa: A001
            check: bool = True) -> Native:
    """See ``nde_lab.native.compile``."""
    if why := available():
        raise ValueError(why)
    from nde_lab.autodiff import trace
    args = tuple(args)
    made, constant = tree.template(args), set(constant)
    if wrong := sorted(i for i in constant if not 0 <= i < len(args)):
        raise ValueError(f"constant names positions of arguments, 0 to {len(args) - 1}; got {wrong[0]}")
    graph = trace(fn, args, check=check)
    machine = machine_of({"call": graph}, disk=disk)
    held = [i in constant for i, a in enumerate(args) for _ in pytree.tree_leaves(a)]
    return Native(machine, "call", made, graph.meta["out_spec"], held)


def machine_of(graphs: dict, *, disk: bool = True) -> Machine:
    """The compiled module of traced graphs: the one in memory, else the one on disk, else a new one."""
    key = "graph " + "".join(f"{name} {graph_key(graph)}" for name, graph in graphs.items())
    with _LOCK:
        if key in _MACHINES:
            _MACHINES.move_to_end(key)
            return _MACHINES[key]
    machine = (from_disk(key) if disk else None) or from_graphs(key if disk else None, graphs)
    with _LOCK:
        machine = _MACHINES.setdefault(key, machine)
        while len(_MACHINES) > _KEEP:
            _MACHINES.popitem(last=False)
    return machine


def from_disk(key: str) -> Machine | None:
    """The module kept under ``key``; a ValueError with the sentence of a kept refusal."""
    kept = store.load(key)
    if kept is None:
        return None
    if isinstance(kept, str):
        raise ValueError(kept)
    made, dtypes = kept
    return Machine(made, {name: [getattr(torch, d) for d in kinds] for name, kinds in dtypes.items()})


def from_graphs(key: str | None, graphs: dict) -> Machine:
    """Lower and compile; kept on disk under ``key`` unless that is None."""
    from nde_lab.lowering import assemble
    made = assemble(graphs, fused=True)
    dtypes = {name: [node.meta["val"].dtype for node in graph.graph.output_node().args[0]]
              for name, graph in graphs.items()}
    machine = Machine(made, dtypes)
    if key is not None:
        store.save(key, made, {name: [str(d).removeprefix("torch.") for d in kinds]
                               for name, kinds in dtypes.items()})
    return machine


def graph_key(graph: torch.fx.GraphModule) -> str:
    """A hash of what a graph computes: its operators, shapes, constants, names, and the bodies of its loops."""
    from nde_lab.autodiff import operators
    digest, numbers = hashlib.sha256(repr((graph.meta["inputs"], graph.meta["outputs"])).encode()), {}

    def show(a: Any) -> Any:
        if isinstance(a, torch.fx.Node):
            return a.name
        if isinstance(a, str) and a in operators.BODIES:    # the keys count the loops of a process
            if a not in numbers:
                numbers[a] = len(numbers)
                body = operators.BODIES[a]
                digest.update(repr((body.turns, body.carries, body.xs, body.wanted, body.ys,
                                    body.saved)).encode())
                for part in (body.forward, body.reverse):
                    if part is not None:
                        visit(part)
            return f"loop {numbers[a]}"
        if isinstance(a, (list, tuple)):
            return [show(x) for x in a]
        return repr(a)

    def visit(gm: torch.fx.GraphModule) -> None:
        for node in gm.graph.nodes:
            value = node.meta.get("val")
            shape = (tuple(value.shape), str(value.dtype)) if isinstance(value, torch.Tensor) else ""
            digest.update(repr((node.op, node.name, str(node.target), [show(a) for a in node.args],
                                {k: show(v) for k, v in node.kwargs.items()}, shape)).encode())
            if node.op == "get_attr":
                owner = gm
                for part in node.target.split("."):
                    owner = getattr(owner, part)
                digest.update(owner.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    visit(graph)
    return digest.hexdigest()


def clear() -> None:
    """Forget the modules kept in memory (files on disk stay)."""
    with _LOCK:
        _MACHINES.clear()
