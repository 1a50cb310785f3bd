"""The long claim: its stored result is of this code and holds; its measure can tell."""
import numpy as np
import pytest

from nde_lab.claims import claims
from nde_lab.diffusion.score_sde import Mixture, table

LONG = [c for c in claims(paper=table.PAPER) if c.function.__module__ == table.__name__]


@pytest.mark.parametrize("claim", LONG, ids=lambda c: c.name)
def test_the_stored_result_is_of_this_code_and_holds(claim):
    assert not claim.stale()
    assert claim.stored()["verdict"]["holds"], claim.stored()["verdict"]


def test_there_is_one_long_claim():
    assert [c.name for c in LONG] == ["learned_ring"]


def test_the_quality_of_the_centres_and_of_bad_samples():
    centres = Mixture.ring().means.numpy()
    assert table.quality(np.tile(centres, (10, 1))) == (1.0, pytest.approx(0.0))
    inside, tv = table.quality(np.tile(centres[:1], (10, 1)))
    assert inside == 1 and tv == pytest.approx(0.8), "one mode only"
    assert table.quality(np.zeros((10, 2)))[0] == 0, "between the modes"
