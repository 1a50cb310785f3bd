"""Arguments of a compiled function: nested dicts, lists and tuples of tensors, taken apart by name, not by
order."""
from __future__ import annotations

from typing import Any

from torch import Tensor


def template(tree: Any) -> Any:
    """The structure of ``tree``: None for a tensor, else (type, {key: template}) in the order of the leaves."""
    if isinstance(tree, Tensor):
        return None
    if isinstance(tree, dict):
        return dict, {k: template(v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree), {i: template(v) for i, v in enumerate(tree)}
    raise ValueError(f"a native program takes tensors in dicts, lists and tuples, found {type(tree).__name__}; "
                     "wrap numbers with torch.tensor or close over them")


def leaves(made: Any, tree: Any, found: list[Tensor], where: str = "the arguments") -> list[Tensor]:
    """The tensors of ``tree`` in the order of the template; a ValueError where the structures differ."""
    if made is None:
        if not isinstance(tree, Tensor):
            raise ValueError(f"the program was compiled for a tensor at {where}, got {type(tree).__name__}")
        found.append(tree)
        return found
    kind, parts = made
    if not isinstance(tree, kind) or len(tree) != len(parts) or kind is dict and tree.keys() != parts.keys():
        got = (f"the keys {', '.join(map(str, tree))}" if isinstance(tree, dict)
               else f"{type(tree).__name__} of {len(tree)}" if isinstance(tree, (list, tuple))
               else type(tree).__name__)
        wanted = (f"the keys {', '.join(map(str, parts))}" if kind is dict
                  else f"{kind.__name__} of {len(parts)}")
        raise ValueError(f"the program was compiled for {wanted} at {where}, got {got}")
    for key, part in parts.items():
        if part is None and isinstance(tree[key], Tensor):
            found.append(tree[key])
        else:
            leaves(part, tree[key], found, f"{where}[{key!r}]")
    return found
