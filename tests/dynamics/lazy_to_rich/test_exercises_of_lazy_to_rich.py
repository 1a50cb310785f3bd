"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import numpy as np
import torch
from exercise_laws import exercise_laws

from nde_lab.dynamics.lazy_to_rich import exercises as check


def moved(w, M, T, v, c):
    a = T @ w - c * v
    b = T @ w
    return a, T @ M @ T - c * (torch.outer(b, v) + torch.outer(v, b)) + c * c * torch.outer(v, v)


RIGHT = [
    (check.lazy_needs, lambda D: D * (D + 3) // 2),
    (check.lazy_needs, lambda D: D + D * (D + 1) / 2),
    (check.two_units, lambda beta, alpha, eps: torch.stack([beta, -beta]) / (alpha * eps) ** 0.5),
    (check.two_units, lambda beta, alpha, eps: np.stack([-beta.numpy(), beta.numpy()]) / np.sqrt(alpha * eps)),
    (check.one_step, moved),
    (check.same_start, lambda sigma, alpha, eps: (alpha * sigma, eps * sigma)),
    (check.hump, (4.0, 0.03)),
    (check.hump, (1, 0.02)),
]
WRONG = [
    (check.lazy_needs, lambda D: D, "for D = 2 you say 2; the kernel matrix of 60 inputs has rank 5"),
    (check.lazy_needs, lambda D: D * D, "rank 5"),
    (check.two_units, lambda beta, alpha, eps: torch.stack([beta, -beta]), "A = .*B = .*C = 0"),
    (check.two_units, lambda beta, alpha, eps: torch.stack([beta, beta]) / (alpha * eps) ** 0.5, "C = [^0]"),
    (check.two_units, lambda beta, alpha, eps: beta, "two rows of D = 6"),
    (check.one_step, lambda w, M, T, v, c: (T @ w, T @ M @ T), "w misses"),
    (check.one_step, lambda w, M, T, v, c: (T @ w - c * v, T @ M @ T), "w is right; M misses"),
    (check.one_step, lambda w, M, T, v, c: (M, w), "must have shape"),
    (check.same_start, lambda sigma, alpha, eps: (alpha * sigma**2, eps), "differs by up to"),
    (check.same_start, lambda sigma, alpha, eps: (0, eps), "must be positive"),
    (check.hump, (1.0, 0.5), "rises to 1.00 times"),
    (check.hump, (1.0, 9.0), "take alpha from"),
]
test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
