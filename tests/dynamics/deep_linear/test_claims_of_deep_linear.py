"""Every claim of the paper: quick ones run, long ones are stored and up to date."""
import numpy as np
import pytest
import torch
from claim_laws import claim_laws

from nde_lab.claims import claims
from nde_lab.dynamics.deep_linear.claims import crossing
from nde_lab.dynamics.deep_linear.table import digits_task, pretrained

test_quick, test_long, test_fails_are_claims = claim_laws(claims(paper="deep-linear-exact-dynamics"))


def test_crossing_interpolates_and_says_when_there_is_none():
    values = np.array([[0.0, 0.0, 3.0], [1.0, 0.1, 3.0], [3.0, 0.2, 3.0]])
    got = crossing(values, np.array([2.0, 1.0, 1.0]))
    assert got[0] == pytest.approx(1.5) and np.isnan(got[1]) and got[2] == 0


def test_digits_are_nine_modes_between_0_and_1():
    task = digits_task()
    assert task.s.shape == (9,) and (task.s < 1).all() and (task.s > 0.5).all()
    for frame in (task.U, task.V):
        assert torch.allclose(frame.T @ frame, torch.eye(9, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(task.U.sum(0), torch.zeros(9, dtype=torch.float64), atol=1e-9)     # classes balanced


def test_pretraining_makes_hidden_layers_orthogonal_and_leaves_the_last_one_alone():
    weights = pretrained((6, 6, 6, 3), seed=2, steps=400)
    assert [tuple(W.shape) for W in weights] == [(6, 6), (6, 6), (3, 6)]
    for W in weights[:-1]:
        assert torch.allclose(W @ W.T, torch.eye(6, dtype=torch.float64), atol=0.02)
    assert not torch.allclose(weights[2] @ weights[2].T, torch.eye(3, dtype=torch.float64), atol=0.02)
