"""Views, joins, gathers, reductions and products against torch."""
import pytest
import torch
from lowering.parity import check
from hypothesis import given, settings
from hypothesis import strategies as st

F = torch.nn.functional
g = torch.Generator().manual_seed(1)


def normal(*shape):
    return torch.randn(shape, generator=g)


VIEWS = {
    "permute": lambda x: x.permute(2, 0, 1) * 2, "t_reshape": lambda x: x.transpose(0, 1).reshape(-1) + 1,
    "select": lambda x: x[1] + x[:, 0].sum(), "slice": lambda x: x[:, 1:, ::2] * 3,
    "flip": lambda x: x.flip(0, 2),
    "expand": lambda x: x[:, :1].expand(-1, 4, -1) + 1,
    "unsqueeze": lambda x: x.unsqueeze(1) - x.unsqueeze(2),
    "cat": lambda x: torch.cat([x, 2 * x[:1], x.tanh()], 0),
    "cat1": lambda x: torch.cat([x, x[:, :2] + 1], 1),
    "cat2": lambda x: torch.cat([x, x.sum(-1, keepdim=True), x], -1),
    "stack": lambda x: torch.stack([x, -x], 1),
    "stack_last": lambda x: torch.stack([x[..., 0], x[..., 1] ** 2], -1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1), value=3.0),
    "roll": lambda x: x.roll(1, 0), "repeat": lambda x: x.repeat(2, 1, 3),
    "split": lambda x: x.split(2, 1)[0].exp(),
    "unbind": lambda x: sum(x.unbind(0)), "diagonal": lambda x: x.diagonal(0, 0, 1) * 2,
    "tril": lambda x: x.tril(),
    "view_chain": lambda x: (x * 2).permute(1, 0, 2).reshape(x.shape[1], -1).t() + 1,
    "negative_pad": lambda x: F.pad(x, (-1, 1)),
    "movedim": lambda x: x.movedim(0, -1).contiguous(), "flatten": lambda x: x.flatten(1),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "outer": lambda x: torch.outer(x[0, 0], x[0, :, 0]),
    "meshgrid": lambda x: torch.meshgrid(x[0, 0], x[0, :, 0], indexing="ij")[1] + 0,
    "repeat_interleave": lambda x: x.repeat_interleave(2, 0), "diff": lambda x: x.diff(dim=1),
    "identity": lambda x: x,
    "constant": lambda x: torch.linspace(0, 1, 7) + x[0, 0, 0],
    "constants": lambda x: (torch.zeros(3), torch.arange(4)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(node, name):
    check(node, VIEWS[name], normal(3, 4, 5))


REDUCTIONS = {
    "sum": lambda x, d, k: x.sum(d, keepdim=k), "mean": lambda x, d, k: x.mean(d, keepdim=k),
    "amax": lambda x, d, k: x.amax(d, keepdim=k), "amin": lambda x, d, k: x.amin(d, keepdim=k),
    "any": lambda x, d, k: (x > 1).any(d, keepdim=k), "all": lambda x, d, k: (x > -2).all(d, keepdim=k),
    "argmax": lambda x, d, k: x.argmax(d, keepdim=k), "argmin": lambda x, d, k: x.argmin(d, keepdim=k),
    "max": lambda x, d, k: tuple(x.max(d, keepdim=k)), "min": lambda x, d, k: tuple(x.min(d, keepdim=k)),
    "prod": lambda x, d, k: x.prod(d, keepdim=k), "logsumexp": lambda x, d, k: x.logsumexp(d, keepdim=k),
    "var": lambda x, d, k: x.var(d, keepdim=k, correction=0), "norm": lambda x, d,
    k: torch.linalg.vector_norm(x, dim=d, keepdim=k),
    "softmax": lambda x, d, k: x.softmax(d), "log_softmax": lambda x, d, k: x.log_softmax(d),
    "cumsum": lambda x, d, k: x.cumsum(d), "cumprod": lambda x, d, k: x.cumprod(d), "fused": lambda x, d,
    k: (x * x + 1).sum(d),
    "int_sum": lambda x, d, k: (x > 0).sum(d), "std": lambda x, d, k: x.std(d, correction=0),
}


@given(shape=st.lists(st.sampled_from([1, 2, 3, 4, 6, 9, 16, 33]), min_size=1, max_size=3),
       keep=st.booleans(),
       names=st.lists(st.sampled_from(sorted(REDUCTIONS)), min_size=1, max_size=6, unique=True),
       data=st.data())
@settings(max_examples=25, deadline=None)
def test_reductions(node, shape, keep, names, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(node, lambda x: {n: REDUCTIONS[n](x, dim, keep) for n in names}, normal(*shape), rtol=5e-6,
          atol=5e-6)


@pytest.mark.parametrize("name", sorted(REDUCTIONS))
@pytest.mark.parametrize("dim", [0, 1])
def test_each_reduction(node, name, dim):
    check(node, lambda x: REDUCTIONS[name](x, dim, False), normal(6, 13), rtol=5e-6, atol=5e-6)


def test_reductions_over_several_axes(node):
    def f(x):
        return (x.sum(), x.sum((0, 2)), x.mean((1, 2)), (x * x).mean(), x.amax((0, 1)), x.max(), x.min(),
                x.prod(),
                x.permute(2, 1, 0).sum(1), x.argmax(), (x > 9).any(), (x == x).all(), x.std(),
                x[..., :2].sum((0, 1)))
    check(node, f, normal(5, 6, 7) * 0.8, rtol=1e-5, atol=2e-6)


def test_long_sums_keep_their_digits(node):
    """float32 sums of 200,000 positive numbers: naive accumulation would be off by 1e-4."""
    x = torch.rand(200_003, generator=g)
    check(node, lambda x: (x.sum(), x.mean(), (x * x).sum()), x, rtol=2e-6)


def test_nan_reaches_extremes(node):
    x = torch.tensor([[1.0, float("nan"), 3.0], [1.0, 2.0, 3.0]])
    check(node, lambda x: (x.amax(1), x.amin(0), x.max(1)[0], x.argmax(1), x.isfinite().all(1)), x)


def test_gathers(node):
    i = torch.tensor([2, 0, 1, 2, -1])
    j = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])

    def f(x, i, j, e):
        return {"rows": x[i], "columns": x[:, i], "both": x[i, i], "gather": x.gather(1, j),
                "gather0": x.gather(0, j % 3),
                "embedding": F.embedding(j, e), "select": x.index_select(0, i % 3), "of": (x * 2)[i].tanh(),
                "outer": x[i[:, None], j[0]], "middle": e[:, :1, None].expand(-1, 3, 2)[j, 1],
                "nested": x[i[j % 5]],
                "take": torch.take_along_dim(x[:2], j, 1)}
    check(node, f, normal(3, 4), i, j, normal(6, 5))


def test_scatters(node):
    i = torch.tensor([2, 0, 2, 2, 1])

    def f(x, i, y):
        put = x.clone()
        put[i[:3]] = y[:3]
        return {"add": torch.zeros(3, 4).index_add(0, i, y), "put": x.index_put((i,), y, accumulate=True),
                "scatter_add": x.scatter_add(0, i[:, None].expand(5, 4), y), "put_in_place": put,
                "scatter": torch.zeros(5, 4).scatter(1, i[:, None], 1.0)}
    check(node, f, normal(3, 4), i, normal(5, 4))


@given(m=st.integers(1, 19), k=st.integers(1, 17), n=st.integers(1, 19), ta=st.booleans(), tb=st.booleans())
@settings(max_examples=30, deadline=None)
def test_products(node, m, k, n, ta, tb):
    a = normal(k, m) if ta else normal(m, k)
    b = normal(n, k) if tb else normal(k, n)
    check(node, lambda a, b: (a.t() if ta else a) @ (b.t() if tb else b), a, b, rtol=1e-5, atol=1e-5)


def test_kinds_of_products(node):
    def f(a, b, v, p, q):
        return {"mv": a @ v, "vm": a[:, 0] @ a, "dot": v @ v, "addmm": torch.addmm(a[0, :1], a, b),
                "bmm": p @ q,
                "bmm_t": p @ p.transpose(1, 2), "shared": p @ b, "linear": F.linear(p, b.t(), a[0, 0]),
                "einsum":
                torch.einsum("bij,bjk->bik", p, q), "sliced": a[1:, :3] @ b[:3, 2:],
                "contract": torch.einsum("bij,jk->bk", p, b),
                "outer": v[:, None] @ v[None], "column": a @ b[:, :1],
                "baddbmm": torch.baddbmm(p[:, :, :1], p, q)}
    check(node, f, normal(9, 5), normal(5, 11), normal(5), normal(3, 4, 5), normal(3, 5, 6), rtol=1e-5,
          atol=1e-5)


def test_larger_product(node):
    check(node, lambda a, b: a @ b, normal(130, 67), normal(67, 45), rtol=1e-5, atol=2e-5)
