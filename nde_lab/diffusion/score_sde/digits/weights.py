"""The weights that come with the package: score, guide and judge, in 8 bits each, so that they fit into a page.

``python -m nde_lab.diffusion.score_sde.digits.weights`` trains all three again from seed 0 (about half a
minute of one core) and writes ``weights.npz``. Every row of a weight matrix has its own scale:
w = scale (q - 128), q = 1 .. 255.
"""
from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PATH = Path(__file__).with_name("weights.npz")
ZERO = 128


def quantised(w: Tensor) -> tuple[Tensor, Tensor]:
    """w as whole numbers 1 .. 255 (int32, same shape) and a scale per row ((rows, 1); for a vector (1,))."""
    scale = w.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
    return (torch.round(w / scale) + ZERO).to(torch.int32), scale


def packed(params: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters as data of an experiment: ``q.<name>`` and ``scale.<name>``."""
    out = {}
    for name, w in params.items():
        out[f"q.{name}"], out[f"scale.{name}"] = quantised(w)
    return out


def restored(data: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """The parameters whose names begin with ``prefix`` out of an experiment's data."""
    return {n.removeprefix("q."): (q.to(torch.float32) - ZERO) * data[f"scale.{n.removeprefix('q.')}"]
            for n, q in data.items() if n.startswith(f"q.{prefix}")}


@functools.cache
def stored() -> dict[str, Tensor]:
    """``q.<name>`` and ``scale.<name>`` of "net." (the score), "guide." and "judge.", as ``packed`` gives
    them."""
    with np.load(PATH) as file:
        return {n: torch.from_numpy(file[n].astype(np.int32) if n.startswith("q.") else file[n])
                for n in file.files}


def trained(seed: int = 0) -> dict[str, Tensor]:
    """Train score, guide and judge: about half a minute of one core."""
    from nde_lab.diffusion.score_sde.digits.classifier import train_guide, train_judge
    from nde_lab.diffusion.score_sde.digits.training import DigitsStudy
    from nde_lab.experiment import Run
    run = Run(DigitsStudy, seed=seed)
    while run.status.kind == "running":
        run.advance()
    return run.experiment.average(run.state) | train_guide(seed) | train_judge(seed)


def save(params: dict[str, Tensor], path: Path = PATH) -> None:
    """Write them as 8-bit numbers."""
    np.savez_compressed(path, **{n: w.numpy().astype(np.uint8) if n.startswith("q.") else w.numpy()
                                 for n, w in packed(params).items()})


if __name__ == "__main__":
    save(trained())
