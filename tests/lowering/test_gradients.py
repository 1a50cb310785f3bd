"""Backward graphs as torch writes them: the gradient of many functions, lowered."""
import pytest
import torch
from lowering.parity import check

from nde_lab.autodiff import value_and_grad

F = torch.nn.functional
g = torch.Generator().manual_seed(4)
I = torch.tensor([2, 0, 1, 2, 3, 0])  # noqa: E741
J = torch.tensor([[0, 1, 2], [3, 2, 1], [0, 0, 0], [4, 1, 4], [2, 2, 3], [1, 0, 2]])

# name -> function of x (6, 5) and y (6, 5), y > 0
LOSSES = {
    "layer_norm": lambda x, y: F.layer_norm(x, (5,), y[0], y[1]), "gelu": lambda x, y: F.gelu(x) * y,
    "softplus": lambda x, y: F.softplus(x) * y, "silu": lambda x, y: F.silu(x * y), "elu": lambda x,
    y: F.elu(x) * y,
    "mse": F.mse_loss, "huber": F.smooth_l1_loss, "normalize": lambda x, y: F.normalize(x, dim=1) * y,
    "cosine": lambda x, y: F.cosine_similarity(x, y), "logsumexp": lambda x, y: (x * y).logsumexp(1),
    "softmax": lambda x, y: x.softmax(1) * y, "cross_entropy": lambda x, y: F.cross_entropy(x, I) + y.sum(),
    "nll_mean": lambda x, y: F.nll_loss(x.log_softmax(1), I, reduction="sum") * y.mean(),
    "bce": lambda x, y: F.binary_cross_entropy_with_logits(x, y.sigmoid()), "embedding": lambda x,
    y: F.embedding(I, x) * y,
    "gather": lambda x, y: x.gather(1, J) * y[:, :3], "rows": lambda x, y: x[I] * y, "std": lambda x,
    y: x.std(0) * y[0],
    "prod": lambda x, y: y.prod(1) * x[:, 0], "cumsum": lambda x, y: x.cumsum(1) * y, "pow": lambda x,
    y: y ** x,
    "where": lambda x, y: torch.where(x > 0, x * y, x / y), "atan2": torch.atan2, "clamp": lambda x,
    y: x.clamp(-1, 1) * y,
    "amax": lambda x, y: x.amax(1) * y[:, 0], "max": lambda x, y: x.max(0)[0] * y[0],
    "maximum": torch.maximum,
    "norm": lambda x, y: (x.norm(dim=1) * y[:, 0]).sqrt(), "stack": lambda x,
    y: torch.stack([x, y * x], 2).flatten(1),
    "cat": lambda x, y: torch.cat([x[:, :2] * y[:, 1:3], y * x], 1), "roll": lambda x, y: x.roll(2, 0) * y,
    "bmm": lambda x, y: torch.einsum("bi,bj->bij", x, y), "matmul": lambda x, y: torch.tanh(x @ y.t()) @ x,
    "linear": lambda x, y: F.linear(x, y, y[:, 0]), "log1p": lambda x, y: torch.log1p(y) * x.expm1(),
    "sinh": lambda x, y: x.sinh() * y.atan(),
    "distance": lambda x, y: ((x[:, None] - y[None]) ** 2).sum(-1).add(1e-6).sqrt(), "expand": lambda x,
    y: x.sum(0).expand(6, 5) * y,
    "logsigmoid": lambda x, y: F.logsigmoid(x) * y, "flip": lambda x, y: x.flip(0) * y, "diagonal": lambda x,
    y: (x @ y.t()).diagonal(),
    "slices": lambda x, y: x[1:, ::2] * y[:-1, ::2], "lerp": lambda x, y: torch.lerp(x, y, x),
    "var": lambda x, y: x.var(1) * y[:, 0],
    "tril": lambda x, y: (x @ y.t()).tril(), "pad": lambda x, y: F.pad(x * y, (1, 1)), "index_add": lambda x,
    y: x.index_add(0, I[:3], y[:3]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradient(node, name):
    x = torch.randn(6, 5, generator=g)
    y = torch.rand(6, 5, generator=g) + 0.5

    def step(x, y):
        def loss(p):
            out = LOSSES[name](p["x"], p["y"])
            weights = torch.arange(1.0, out.numel() + 1).reshape(out.shape) / out.numel()
            return (out * weights).sum()
        return value_and_grad(loss, {"x": x, "y": y})
    check(node, step, x, y, rtol=2e-5, atol=5e-6)
