import pytest
import torch

from nde_lab import optimizers


def _quadratic_descent(step, state, params, n):
    for _ in range(n):
        grads = {k: 2 * p for k, p in params.items()}
        params, state = step(params, grads, state)
    return params


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adam_agrees_with_torch(weight_decay):
    start = {"w": torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
             "b": torch.ones(4, dtype=torch.float64)}
    ours = _quadratic_descent(lambda p, g, s: optimizers.adam(p, g, s, lr=0.05, weight_decay=weight_decay),
                              optimizers.adam_state(start), start, 30)
    theirs = {k: p.clone().requires_grad_() for k, p in start.items()}
    torch_adam = torch.optim.Adam(theirs.values(), lr=0.05, weight_decay=weight_decay)
    for _ in range(30):
        torch_adam.zero_grad()
        sum((p * p).sum() for p in theirs.values()).backward()
        torch_adam.step()
    for k in start:
        assert torch.allclose(ours[k], theirs[k].detach(), rtol=1e-12, atol=1e-12)


def test_sgd_agrees_with_torch():
    start = {"w": torch.arange(5, dtype=torch.float64)}
    step = lambda p, g, s: optimizers.sgd(p, g, s, lr=0.03, momentum=0.8, weight_decay=0.01)  # noqa: E731
    ours = _quadratic_descent(step, optimizers.sgd_state(start), start, 25)["w"]
    theirs = start["w"].clone().requires_grad_()
    torch_sgd = torch.optim.SGD([theirs], lr=0.03, momentum=0.8, weight_decay=0.01)
    for _ in range(25):
        torch_sgd.zero_grad()
        (theirs * theirs).sum().backward()
        torch_sgd.step()
    assert torch.allclose(ours, theirs.detach(), rtol=1e-12)


def test_clip_by_norm_scales_only_what_is_too_long():
    grads = {"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}
    clipped, norm = optimizers.clip_by_norm(grads, 1.0)
    assert norm == 5.0
    assert torch.allclose(torch.stack([clipped["a"].sum(), clipped["b"].sum()]), torch.tensor([0.6, 0.8]))
    kept, _ = optimizers.clip_by_norm(grads, 10.0)
    assert torch.equal(kept["a"], grads["a"])
