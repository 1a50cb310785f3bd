"""The exercise of the section on digits; ``check.imputed_mean(my_answer)`` answers with a hint."""
from __future__ import annotations

from nde_lab.diffusion.score_sde.imputation import law_of_imputation, limit_of_imputation
from nde_lab.exercises import exercise, require


@exercise(hints=("Try u = c(S) (S² - ρ²)^½: the root solves the equation without ρ y. What is left for c?",
                 "c' = -ρ y (S² - ρ²)^(-3/2), and S / (ρ² (S² - ρ²)^½) has the derivative -(S² - ρ²)^(-3/2). "
                 "So u = y S / ρ + C (S² - ρ²)^½. Choose C so that u stays bounded as S grows.",
                 "C = -y / ρ. At S = 1: u = y (1 - (1 - ρ²)^½) / ρ."))
def imputed_mean(answer):
    """answer(rho, y) -> mean of the unknown coordinate after imputation, in the limit of short steps."""
    for rho, y in ((0.8, 1.0), (0.5, -2.0), (0.95, 0.5)):
        got, limit = float(answer(rho, y)), limit_of_imputation(rho, y)[0]
        seen = law_of_imputation(rho, y, steps=400)[0]
        more = "" if abs(got - rho * y) > 1e-9 else " You gave the true conditional mean."
        require(abs(got / limit - 1) < 1e-6, f"with ρ = {rho:g}, y = {y:g} you say {got:.4f}; the sampler in "
                                             f"400 steps ends at {seen:.4f}.{more}")
    return "three correlations agree. For small ρ half of the true mean ρ y is lost, for ρ near 1 little."
