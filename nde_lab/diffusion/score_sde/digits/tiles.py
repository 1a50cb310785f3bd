"""Pictures of digits as tiles of one matrix, for a heat map: one gather, so it may stand in a traced step."""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.data.digits import SIDE


def places(rows: int, columns: int) -> Tensor:
    """Where each cell of the matrix finds its pixel among rows x columns pictures of 64: int64, flat.

    Row 0 of a heat map is at the bottom, so the first picture is put at the top left. Pictures are one cell
    apart; gaps point behind the last pixel.
    """
    pixels = torch.arange(rows * columns * SIDE * SIDE).reshape(rows, columns, SIDE, SIDE)
    grid = torch.full((rows, columns, SIDE + 1, SIDE + 1), rows * columns * SIDE * SIDE)
    grid[:, :, :SIDE, :SIDE] = pixels
    whole = grid.permute(0, 2, 1, 3).reshape(rows * (SIDE + 1), columns * (SIDE + 1))[:-1, :-1]
    return whole.flip(0).reshape(-1).contiguous()


def side_by_side(pictures: int) -> Tensor:
    """Centres of the cells along a side of that many tiles, in pictures: a tile and its gap have length 1."""
    return (torch.arange(pictures * (SIDE + 1) - 1) + 0.5) / (SIDE + 1)


def tile_panel(pictures: Tensor, where: Tensor, columns: int = 8) -> Tensor:
    """Pictures (n, 64) as the matrix that ``places`` describes; gaps are 0."""
    flat = torch.cat([pictures.reshape(-1), torch.zeros_like(pictures[0, :1])])
    return flat[where].reshape(-1, columns * (SIDE + 1) - 1)


def pixels_shown(basis, u: Tensor) -> Tensor:
    """The model's u as pixels clipped to [0, 1]."""
    return basis.pixels(u).clamp(0.0, 1.0)
