"""The quick claims hold, the long one's result is of this code, and the measure can tell samplers apart."""
import pytest

from nde_lab.claims import claims
from nde_lab.diffusion.mr_sampler import claims as here

ALL = claims(paper=here.PAPER)
QUICK = [c for c in ALL if c.cost == "quick"]


@pytest.mark.parametrize("claim", QUICK, ids=lambda c: c.name)
def test_quick_claim_holds(claim):
    row = claim.run()
    assert row["verdict"]["holds"], row["verdict"]


def test_the_stored_result_is_of_this_code_and_holds():
    (long,) = [c for c in ALL if c.cost == "long"]
    assert not long.stale() and long.stored()["verdict"]["holds"]


def test_a_sampler_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="unknown sampler 'noise o3'; there are noise o1"):
        here.error("noise o3", 10)
