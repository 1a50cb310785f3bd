"""Small networks as pure functions: ``net.apply(params, x)``, with declared random initial values."""
from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from nde_lab.random import Declaration, Uniform

Tensors = dict[str, Tensor]
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def lipswish(x: Tensor) -> Tensor:
    """0.909 x sigmoid(x): silu scaled to Lipschitz constant about 1 (Chen et al. 2019, residual flows)."""
    return 0.909 * x * torch.sigmoid(x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "lipswish": lipswish,
    "silu": nn.functional.silu, "softplus": nn.functional.softplus, "identity": lambda x: x,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation of that name; a ValueError lists the known ones."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class Activation(nn.Module):
    """An activation by name as a module: ``nn.Sequential(nn.Linear(2, 8), Activation("lipswish"))``."""

    def __init__(self, name: str):
        super().__init__()
        self.name, self.function = name, activation(name)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def mlp(sizes: list[int], *, act: str = "tanh", final: str | None = None) -> nn.Sequential:
    """Linear layers of the given sizes with ``act`` between them and ``final`` (or nothing) at the end."""
    if len(sizes) < 2 or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise ValueError(f"mlp needs at least two sizes, integers >= 1, got {sizes!r}")
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layers += ([Activation(act)] if i else []) + [nn.Linear(n_in, n_out)]
    return nn.Sequential(*layers, *([Activation(final)] if final else []))


@dataclass(frozen=True)
class Functional:
    """A module turned inside out: declared draws, and apply(params, *inputs) without hidden state.

    draws: name -> declared random tensor for every entry that starts at random ("0.weight", ...)
    fixed: name -> tensor for every entry that starts at a given value (declared nowhere)
    """
    module: nn.Module
    draws: dict[str, Declaration]
    fixed: Tensors
    prefix: str = ""

    def init(self, noise: Tensors) -> Tensors:
        """Initial parameters from one sample of ``draws`` (extra entries of ``noise`` are ignored)."""
        missing = set(self.draws) - set(noise)
        if missing:
            raise ValueError(f"init needs the drawn tensors {sorted(missing)}; pass sample(net.draws, ...)")
        dtype = noise[next(iter(self.draws))].dtype if self.draws else None      # others may be indices
        return {n: noise[n] for n in self.draws} | {n: p.to(dtype) for n, p in self.fixed.items()}

    def params(self, state: Tensors) -> Tensors:
        """This network's own entries of a larger state."""
        return {n: state[n] for n in (*self.draws, *self.fixed)}

    def apply(self, params: Tensors, *inputs: Tensor):
        """The module's output with these parameters; works under gradients, tracing and vmap, from any thread."""
        own = {n.removeprefix(self.prefix): params[n] for n in (*self.draws, *self.fixed)}
        # functional_call puts the parameters into the module for the time of the call: one thread at a time.
        with _LOCKS.setdefault(self.module, threading.RLock()):
            return torch.func.functional_call(self.module, own, inputs)


def functional(module: nn.Module, *, prefix: str = "", init: dict[str, Declaration | Tensor] | None = None
               ) -> Functional:
    """Turn ``module`` into pure functions of a flat parameter dict, keys prefixed by ``prefix`` ("net.").

    ``nn.Linear`` and 1-d convolutions get PyTorch's default start, U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as declared
    draws. Any other parameter, or another start, goes into ``init`` by its name in the module (a declaration or a
    tensor). Raises ValueError naming parameters without a start and unknown names in ``init``.
    """
    init = dict(init or {})
    draws, fixed = {}, {}
    if next(module.buffers(), None) is not None:
        raise ValueError("functional() takes modules without buffers (running statistics are hidden state); "
                         "use LayerNorm instead of BatchNorm")
    for owner, sub in module.named_modules():
        for short, p in sub.named_parameters(recurse=False):
            name = f"{owner}.{short}" if owner else short
            start = init.pop(name, None)
            if start is None and isinstance(sub, (nn.Linear, nn.Conv1d)):
                bound = 1 / math.sqrt(sub.weight[0].numel())
                start = Uniform(tuple(p.shape), -bound, bound)
            if start is None and isinstance(sub, nn.LayerNorm):
                start = p.detach()
            if start is None:
                raise ValueError(f"no start is known for parameter {name!r} of a {type(sub).__name__}; "
                                 f"give init={{{name!r}: Normal(...)}} or a tensor")
            if tuple(start.shape) != tuple(p.shape):
                raise ValueError(f"init[{name!r}] has shape {tuple(start.shape)}, the parameter has {tuple(p.shape)}")
            (fixed if isinstance(start, Tensor) else draws)[prefix + name] = start
    if init:
        raise ValueError(f"init names unknown parameters {sorted(init)}; the module has "
                         f"{[n for n, _ in module.named_parameters()]}")
    return Functional(module, draws, fixed, prefix)
