"""Gradients and repetition, in the two forms that every engine understands, and the tracer that tells them
apart.

``value_and_grad`` is the one way to a gradient and ``loop`` the one way to repeat. Eager code runs both as
plain torch (nothing heavy is imported). Under ``trace`` a gradient becomes part of the recorded graph, and a
loop becomes one operator whose body, and whose reverse, are recorded once however many turns it takes.
"""
from __future__ import annotations

import threading

from nde_lab.autodiff.eager import loop, value_and_grad

# The tracer of torch keeps global state: two threads that trace at once break each other (a sweep on a thread
# pool).
_ONE_AT_A_TIME = threading.RLock()


def trace(fn, args, *, unroll: bool = False, check: bool = True):
    """Record ``fn(*args)`` as a ``torch.fx.GraphModule`` of aten operators over flat tensor inputs.

    args    tuple of pytrees of tensors (an experiment's step takes ``(data, state, noise, live)``, four flat
            dicts); shapes and dtypes are fixed by it, values are not
    unroll  False records a ``loop`` as one operator; True writes every turn out (slower to trace, plain aten
            only)
    check   compare the traced function with ``fn`` on fresh inputs; a difference is a ValueError

    The result takes the leaves of ``args`` in order and returns the flat list of output leaves.
    ``module.meta`` names them: ``inputs`` and ``outputs`` are lists such as ``"state/net.0.weight"``
    (parameter of ``fn``, then keys, joined by "/"), ``out_spec`` unflattens the outputs. It works under
    ``torch.vmap``.

    Raises ValueError, naming the operator, for random operators, for python decisions on tensor values (``if
    x > 0``, ``float(x)``, ``x.item()``), and for outputs whose shape depends on values (``x[x > 0]``).
    """
    from nde_lab.autodiff.tracing import trace as run  # imports the tracer's machinery (about 4 s, once)
    with _ONE_AT_A_TIME:
        return run(fn, args, unroll=unroll, check=check)


__all__ = ["loop", "trace", "value_and_grad"]
