"""The five exercises of the chapter on deep linear networks; ``check.wait_for(my_answer)`` answers with a
hint."""
from __future__ import annotations

import math

import torch

from nde_lab.dynamics.deep_linear import theory
from nde_lab.dynamics.deep_linear.network import descend, imbalance, product, random_task, start
from nde_lab.dynamics.deep_linear.tree import modes, table
from nde_lab.exercises import exercise, require

T64 = torch.float64


@exercise(hints=("Put u = s/2 into the formula for the time from u0 to u.",
                 "At u = s/2 the factor u/(s - u) is 1. What is left is ln[(s - u0)/u0]/(2s).",
                 "t = ln(s/u0 - 1) / (2 s)."))
def half_time(answer):
    """answer(s, u0) -> time at which a mode with two balanced matrices is half learned."""
    for s, u0 in ((1.0, 1e-3), (4.0, 1e-3), (2.0, 1e-6)):
        true, got = theory.time_two_layers(s, u0, s / 2), float(answer(s, u0))
        require(abs(got / true - 1) < 1e-6, f"for s = {s:g} and u0 = {u0:g} you say {got:.4g}; the sigmoid "
                                            f"passes s/2 at {true:.4g}.")
    return ("right: four times the strength, a quarter of the wait (up to a logarithm); u0 enters only through "
            "its log.")


@exercise(hints=("The gradient of ½ (s - a b)² by a is -(s - a b) b. Step both numbers at once.",
                 "Both new values use the old a and the old b.",
                 "error = s - a*b; return a + lr*error*b, b + lr*error*a."))
def two_numbers(answer):
    """answer(a, b, s, lr) -> (a, b) after one step of gradient descent on ½ (s - a b)²."""
    for a, b, s in ((0.1, 0.1, 1.0), (1.0, 0.2, 2.0), (-0.5, 0.5, 1.0)):
        lr = 0.1
        got = answer(a, b, s, lr)
        require(isinstance(got, tuple) and len(got) == 2, "return two numbers, the new a and the new b.")
        error = s - a * b
        true = (a + lr * error * b, b + lr * error * a)
        gap = max(abs(float(g) - t) for g, t in zip(got, true, strict=True))
        c = float(got[0])**2 - float(got[1])**2 - (a * a - b * b)
        require(gap < 1e-9, f"from a = {a:g}, b = {b:g} with s = {s:g} you step to ({float(got[0]):.4g}, "
                            f"{float(got[1]):.4g}), not to ({true[0]:.4g}, {true[1]:.4g}); a² - b² moves by "
                            f"{c:.2g}, due is {(lr * error)**2 * (b * b - a * a):.2g}.")
    return "right. a² - b² moves by the square of the step only: in the limit of small steps it stands still."


@exercise(hints=("Multiply the table by the contrast 'animals against plants' and see how long the result is.",
                 "s² counts: for each property, (items of one side that have it - items of the other)², "
                 "summed, divided by 8. 'grows' gives 0; 'moves' and 'has roots' 16 each; the pairs 4 each; "
                 "single items 1 each.",
                 "(2 * 16 + 4 * 4 + 8 * 1) / 8 = 7, so s = sqrt(7)."))
def animals_and_plants(answer):
    """answer: the singular value of the mode that parts animals from plants."""
    _, s, _ = modes()
    got = float(answer)
    require(abs(got - 7) > 1e-3, "7 is s²; asked is s.")
    require(abs(got / float(s[1]) - 1) < 1e-3, f"you say {got:.4g}. The contrast, scaled to length 1, becomes "
                                               f"a vector of another length when the table "
                                               f"{tuple(table().shape)} multiplies it.")
    return "s = √7 = 2.65, between √15 for 'all that grows' and √3 for the pairs."


@exercise(hints=("Near the solution write u = s + d. By how much does one step multiply d?",
                 "The curvature at the solution is N s^(2 - 2/N). A step multiplies d by 1 - λ times that.",
                 "The factor is -1 at λ = 2 / (N s^(2 - 2/N))."))
def edge(answer):
    """answer(s, N) -> the learning rate at which the solution of a balanced mode becomes unstable."""
    for s, N in ((1.0, 2), (3.0, 2), (1.5, 5)):
        got = float(answer(s, N))
        require(got > 0, f"for s = {s:g} and N = {N} you say {got:.4g}; a learning rate is above 0.")
        task = random_task([s], n_in=1, n_out=1)
        kept = []
        for factor in (0.97, 1.03):
            weights = start("aligned", (1,) * (N + 1), 0.98 * s, task=task)
            weights, _ = descend(weights, task.matrix, factor * got, 800)
            kept.append(abs(float(task.strengths(product(weights))) - s) < 1e-3 * s)
        require(kept[0], f"for s = {s:g} and N = {N} your rate, {got:.4g}, less 3 %, still throws the network "
                         "off.")
        require(not kept[1], f"for s = {s:g} and N = {N} even 3 % more than your rate, {got:.4g}, converges; "
                             "the edge is higher.")
    return "right: at 3 % less gradient descent converges, at 3 % more it does not, for N = 2 and 5."


@exercise(hints=("Look for weights at which both gradients vanish: (Σ - W2 W1) W1^T and W2^T (Σ - W2 W1).",
                 "The strong mode may be learned perfectly while the weak one is not there at all, in either "
                 "matrix.",
                 "W1 = W2 = diag(sqrt(2), 0): the product has strength 2 in mode 1, and 0 in mode 2."))
def saddle(answer):
    """answer: (W1, W2), each 2 x 2, where gradient descent on Σ = diag(2, 1) stands still, the loss is not 0,
    and at least one matrix is not 0."""
    require(isinstance(answer, tuple) and len(answer) == 2, "give two matrices, (W1, W2).")
    W1, W2 = (torch.as_tensor(W, dtype=T64) for W in answer)
    require(W1.shape == (2, 2) and W2.shape == (2, 2), f"both matrices are 2 x 2; yours are {tuple(W1.shape)} "
                                                       f"and {tuple(W2.shape)}.")
    error = torch.diag(torch.tensor([2.0, 1.0], dtype=T64)) - W2 @ W1
    slope = max(float((W2.T @ error).abs().max()), float((error @ W1.T).abs().max()))
    require(slope < 1e-6, f"the largest entry of a gradient is {slope:.3g}, not 0: from there it moves.")
    require(float(error.abs().max()) > 1e-3, "there the loss is 0: that is the solution, not a place to be "
                                             "stuck.")
    require(float(W1.abs().max() + W2.abs().max()) > 1e-3, "all weights are 0. That is a place of rest, but "
                                                           "find one where something is learned.")
    require(all(float(c.abs().max()) < 1e-6 for c in imbalance([W1, W2])),
            "that stands still too, but it is not balanced; find one with W2^T W2 = W1 W1^T.")
    return (f"right: the gradients vanish at loss {0.5 * float(error.square().sum()):.2g}. Learning stage by "
            "stage means passing close to such places.")
