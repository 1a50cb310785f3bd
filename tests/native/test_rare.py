"""pow, atan2, erf, ... are made by the module itself: rounded double precision, with C's special values."""
import math

import numpy as np
import pytest
import torch

from nde_lab import native

SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-45, -1e-40, 1e-30, 0.5, -0.5, 2.0, -2.0,
           3.0, 1e-3, 0.02, 0.0199, -0.0199, 3.9, 4.1, 88.0, -95.0]
g = torch.Generator().manual_seed(0)
X = torch.cat([torch.tensor(SPECIAL), torch.randn(400, generator=g), 1e-3 * torch.randn(200, generator=g),
               30 * torch.randn(200, generator=g), torch.linspace(-1, 1, 201)])
ONE = ("tan", "atan", "asin", "acos", "sinh", "cosh", "asinh", "acosh", "atanh", "erf")


def ulps(got: torch.Tensor, exact: torch.Tensor) -> float:
    """Distance in units of the last place of float32; infinite where a special value or a sign of zero is
    wrong."""
    got, want = got.numpy(), exact.float().numpy()
    same = (got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(want)
    finite = np.isfinite(got) & np.isfinite(want) & ((want != 0) | (got == 0))
    unit = np.spacing(np.maximum(np.abs(want), np.float32(1.2e-38)))
    with np.errstate(invalid="ignore"):
        apart = np.abs(got.astype(np.float64) - exact.numpy()) / unit
    signs = (want == 0) & (np.signbit(got) != np.signbit(want)) & ~np.isnan(want)
    return float(np.where(same, 0, np.where(finite & ~signs, apart, np.inf)).max())


@pytest.mark.parametrize("name", ONE)
def test_one_argument(name):
    f = getattr(torch, name)
    got = native.compile(f, (X,), check=False)(X)
    assert ulps(got, f(X.double())) <= 1.0


@pytest.mark.parametrize("name", ["pow", "atan2"])
def test_two_arguments(name):
    f = getattr(torch, name)
    a = torch.tensor(SPECIAL)
    x, y = (t.reshape(-1) for t in torch.meshgrid(a, a, indexing="ij"))
    x = torch.cat([x, 3 * torch.randn(500, generator=g).abs(), torch.randn(100, generator=g)])
    y = torch.cat([y, 5 * torch.randn(500, generator=g), torch.randint(-5, 6, (100,), generator=g).float()])
    got = native.compile(f, (x, y), check=False)(x, y)
    assert ulps(got, f(x.double(), y.double())) <= 1.0


LARGE = torch.cat([torch.logspace(2.5, 8.6, 3000), torch.linspace(999.9, 1000.1, 101),
                   torch.tensor([1e6, 1e7, 1e8, 33.0 * 2 ** 22, 355.0, 51819.74])])


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_sines_of_large_arguments(name):
    """Reduced in double precision from 1000 on: right to float32's rounding, whatever the neighbours are."""
    f = getattr(torch, name)
    x = torch.cat([LARGE, -LARGE])
    got = native.compile(f, (x,), check=False)(x)
    far = x.abs() > 1000
    assert ulps(got[far], f(x[far].double())) <= 1.0
    mixed = torch.tensor([1e6, -0.0, 0.5, -1e7])
    got = native.compile(f, (mixed,), check=False)(mixed)
    alone = [native.compile(f, (v,), check=False)(v) for v in mixed]
    assert torch.equal(got, torch.stack(alone))


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sines_stay_within_one(name):
    x = torch.cat([torch.logspace(-3, 38.5, 5000), torch.tensor([3.4028234e38])])
    got = native.compile(getattr(torch, name), (x,), check=False)(x)
    assert got.isfinite().all() and got.abs().max() <= 1.0
    x = torch.tensor([math.inf, -math.inf, math.nan])
    assert native.compile(getattr(torch, name), (x,), check=False)(x).isnan().all()
