"""The claims of the chapter: which hold, which one honestly does not, and that their bounds can tell."""
import pytest
import torch

from nde_lab.claims import claims
from nde_lab.sdes.brownian_motion import claims as here

CLAIMS = claims(module="nde_lab.sdes.brownian_motion")
FAILS = {"one_volatility_for_a_share"}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.name)
def test_claim(claim):
    assert claim.cost == "quick"
    verdict = claim.run()["verdict"]
    assert verdict["holds"] == (claim.name not in FAILS), verdict


def test_the_papers_two_checks_are_among_them():
    assert {c.name for c in CLAIMS if c.paper == here.PAPER} == {
        "ito_and_stratonovich_means", "brownian_bridge_and_interval"}


def test_the_two_calculi_cannot_be_taken_for_each_other():
    """1000 paths already tell the means 1 and e^(1/2) apart."""
    heun, euler = (here.growth_mean(method, paths=2000, chunk=1000) for method in ("heun", "euler"))
    assert heun - euler > 0.4


def test_standard_errors_tell_a_wrong_variance_from_a_right_one():
    x = here._normals(20_000, seed=9)
    assert max(map(abs, here._errors(0.0, 1.0, x))) < 3.5
    assert abs(here._errors(0.0, 1.05, x)[1]) > 3.5 and abs(here._errors(0.05, 1.0, x)[0]) > 3.5
    assert torch.equal(x, here._normals(20_000, seed=9))
