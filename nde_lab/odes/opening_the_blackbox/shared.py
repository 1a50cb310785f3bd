"""What the experiments of this part of the book share: a test of the weights, and two axes."""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.views import Axis

STEPS_AXIS = Axis("training step")
NFE_AXIS = Axis("evaluations per solve (NFE)", low=0)


def finite(params: dict[str, Tensor]) -> Tensor:
    """0-d bool: every parameter is finite."""
    return torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())
