"""Every claim of the paper: quick ones run, long ones are stored and up to date; and the digits behind two of
them."""
import math

import pytest
import torch
from claim_laws import claim_laws

from nde_lab.claims import claims
from nde_lab.dynamics.neural_tangent_kernel.digits import accuracy, noisy_digits, stopping_curve, stopping_view

test_quick, test_long, test_fails_are_claims = claim_laws(claims(paper="neural-tangent-kernel"))


def test_noisy_digits_flip_the_asked_share_of_training_labels_alone():
    clean, noisy = (noisy_digits(100, flipped=share, seed=1) for share in (0.0, 0.2))
    assert int((clean.y != noisy.y).sum()) == 20 and torch.equal(clean.test_y, noisy.test_y)
    assert set(clean.y.tolist()) == {-1.0, 1.0}
    with pytest.raises(ValueError, match="between 0 and 0.5, got 0.5"):
        noisy_digits(100, flipped=0.5)


def test_the_training_error_falls_for_ever_and_the_first_error_is_that_of_zero():
    times, errors = stopping_curve(noisy_digits(60), on="train")
    assert times[-1] == math.inf and (errors[1:] <= errors[:-1] + 1e-12).all() and errors[-1] < 1e-8
    assert errors[0] == pytest.approx(1.0, abs=0.05)
    assert stopping_view().observables() == {"t", "train", "test"}


def test_kernel_regression_reads_digits():
    few, many = accuracy(50), accuracy(800)
    assert 0.6 < few < many and many > 0.95
