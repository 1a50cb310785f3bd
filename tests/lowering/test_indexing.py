"""Gathers whose index is computed in the same program."""
import pytest
import torch

from lowering.parity import check


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_gathers_that_share_a_computed_index(node, n):
    def f(k, *ys):
        index = torch.minimum(torch.arange(257), k.long())
        return {f"y{i}": y[index] for i, y in enumerate(ys)}
    ys = [torch.randn(257, generator=torch.Generator().manual_seed(i)) for i in range(n)]
    # A second call with another k: an index read before it is written would be the first call's.
    check(node, f, torch.tensor(16.0), *ys, fresh=((torch.tensor(200.0), *ys), (torch.tensor(3.0), *ys)))


def test_a_gather_beside_other_results_of_its_index(node):
    def f(k, y):
        index = (torch.arange(33) * k.long()) % 33
        return index, y[index], (index + 1).float() * y[index]
    y = torch.randn(33, generator=torch.Generator().manual_seed(0))
    check(node, f, torch.tensor(5.0), y, fresh=((torch.tensor(7.0), y),))
