"""Two short series for a latent SDE to learn from: lynx furs, and a particle that hops between two wells."""
from __future__ import annotations

import torch

from nde_lab.autodiff import loop

# Lynx trapped in the Mackenzie River district, 1821 to 1934, from the books of the Hudson's Bay Company:
# Elton and Nicholson, "The ten-year cycle in numbers of the lynx in Canada", J. Animal Ecology 11 (1942).
LYNX_FROM = 1821
LYNX = (269, 321, 585, 871, 1475, 2821, 3928, 5943, 4950, 2577, 523, 98, 184, 279, 409, 2285, 2685, 3409,
        1824, 409, 151, 45, 68, 213, 546, 1033, 2129, 2536, 957, 361, 377, 225, 360, 731, 1638, 2725, 2871,
        2119, 684, 299, 236, 245, 552, 1623, 3311, 6721, 4254, 687, 255, 473, 358, 784, 1594, 1676, 2251,
        1426, 756, 299, 201, 229, 469, 736, 2042, 2811, 4431, 2511, 389, 73, 39, 49, 59, 188, 377, 1292,
        4031, 3495, 587, 105, 153, 387, 758, 1307, 3465, 6991, 6313, 3794, 1836, 345, 382, 808, 1388, 2713,
        3800, 3091, 2985, 3790, 674, 81, 80, 108, 229, 399, 1132, 2432, 3574, 2935, 1537, 529, 485, 662,
        1000, 1590, 2657, 3396)


def lynx() -> torch.Tensor:
    """log10 of the yearly catch, standardised: (114,), mean 0, standard deviation 1."""
    x = torch.log10(torch.tensor(LYNX, dtype=torch.float32))
    return (x - x.mean()) / x.std(correction=0)


def double_well(z0, xi, *, dt: float, sigma: float):
    """Euler paths of dz = 2 (z - z^3) dt + sigma dW from z0 (B,) with standard normals xi (n, B) -> (n, B).

    Wells at -1 and 1; the stationary density is proportional to exp(-V / sigma^2) with V = z^4 - 2 z^2.
    """
    def move(z, x):
        z = z + 2 * (z - z**3) * dt + sigma * dt**0.5 * x
        return z, z

    return loop(move, z0, xi)[1]


def well_density(z, *, sigma: float):
    """The stationary density of ``double_well`` on an even grid z (n,), normalised there."""
    p = torch.exp(-(z**4 - 2 * z**2) / sigma**2)
    return p / (p.sum() * (z[1] - z[0]))
