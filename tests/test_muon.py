import pytest
import torch

from nde_lab import muon


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (9, 9)])
def test_orthogonalise_keeps_singular_vectors_and_levels_singular_values(shape):
    g = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    U, s, Vt = torch.linalg.svd(g, full_matrices=False)
    g = (U * (1 + s)) @ Vt                      # no singular value near zero: those stay small in five turns
    inside = U.T @ muon.orthogonalise(g) @ Vt.T
    assert torch.allclose(inside, torch.diag(inside.diagonal()), atol=1e-12)
    assert 0.65 < inside.diagonal().min() and inside.diagonal().max() < 1.25
    assert torch.allclose(muon.orthogonalise(1e3 * g), muon.orthogonalise(g), atol=1e-8)


def test_muon_moves_every_direction_alike_and_decays():
    g = torch.diag(torch.tensor([100.0, 1.0, 1.0], dtype=torch.float64))
    p = {"W": torch.zeros(3, 3, dtype=torch.float64)}
    new, state = muon.muon(p, {"W": g}, muon.muon_state(p), lr=0.1)
    moved = -new["W"].diagonal() / 0.1
    assert moved[0] / moved[1] < 2 and moved.min() > 0.3        # gradient descent would move 100 times as far
    assert torch.equal(state["muon.m.W"], g)
    decayed, _ = muon.muon({"W": g}, {"W": 0 * g}, muon.muon_state(p), lr=0.1, weight_decay=0.1)
    assert (decayed["W"].diagonal() < g.diagonal()).all()
