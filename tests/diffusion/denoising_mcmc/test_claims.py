"""The quick claim holds; stored results are of this code, and say what they measured, also where that is no."""
import pytest
import torch

from nde_lab.claims import claims
from nde_lab.diffusion.denoising_mcmc import claims as here

ALL = {c.name: c for c in claims(paper=here.PAPER)}


def test_the_conditional_is_exact():
    row = ALL["level_conditional_is_exact"].run()
    assert row["verdict"]["holds"], row["verdict"]


@pytest.mark.parametrize(("name", "holds"), [("dlg_against_vanilla", True), ("dlg_mixes", True),
                                             ("likeliest_level_is_no_gibbs_step", False)])
def test_stored_results_are_of_this_code(name, holds):
    assert not ALL[name].stale() and ALL[name].stored()["verdict"]["holds"] is holds


def test_the_measure_sees_what_is_wrong():
    x = here.truth(0)
    inside, tv = here.quality(x)
    assert inside > 0.97 and tv < 0.06
    assert here.quality(x + 2.0)[0] < 0.3
    assert here.quality(here.RING.means[:1] + torch.zeros(10, 2))[1] == pytest.approx(7 / 8)
