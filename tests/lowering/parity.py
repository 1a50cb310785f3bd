"""Helpers: one function, traced, lowered, run in both JavaScript engines, and compared with torch."""
import torch

from nde_lab.autodiff import trace
from nde_lab.lowering import lower


def check(node, fn, *args, rtol: float = 2e-6, atol: float = 2e-6, fresh: tuple = ()) -> None:
    """``fn(*args)`` against its lowered form, in both engines; ``fresh`` are further argument tuples to
    try."""
    graph = trace(fn, args, check=False)
    lowered = lower({"f": graph})
    names = graph.meta["inputs"]
    for wasm in (True, False):
        handle = node.load(lowered, wasm)
        for given in (args, *fresh):
            leaves = torch.utils._pytree.tree_leaves(given)
            expected = torch.utils._pytree.tree_leaves(fn(*given))
            got = node.run(lowered, handle, "f", dict(zip(names, leaves, strict=True)))
            for name, e in zip(graph.meta["outputs"], expected, strict=True):
                compare(got[name], e, rtol, atol, f"{'wasm' if wasm else 'plain'}, output {name!r}")
        node.drop(handle)


def compare(got: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float, where: str) -> None:
    expected = expected.detach()
    assert got.shape == expected.shape, f"{where}: {tuple(got.shape)}, torch has {tuple(expected.shape)}"
    if not expected.is_floating_point():
        assert torch.equal(got.to(torch.int64), expected.to(torch.int64)), f"{where}: {got} != {expected}"
        return
    torch.testing.assert_close(got, expected.to(torch.float32), rtol=rtol, atol=atol, equal_nan=True,
                               msg=lambda m: f"{where}: {m}")
