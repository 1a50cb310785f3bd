"""The stored rings as a figure: every weight has its own picture, bad weights are refused."""
import numpy as np
import pytest

from nde_lab.diffusion.ode_sde_gap import plane_table
from nde_lab.diffusion.ode_sde_gap.rings import TwoRings
from nde_lab.experiment import last, run
from nde_lab.views import still


@pytest.fixture(scope="module")
def frames():
    return {w: last(run(TwoRings, {"weight": w})) for w in plane_table.WEIGHTS}


def test_every_weight_shows_the_stored_laws(frames):
    area = 0.25**2
    for i, (w, frame) in enumerate(frames.items()):
        a = frame.arrays
        for law in ("ode", "sde"):
            assert a[law].sum() * area == pytest.approx(1, abs=2e-3) and a[law].min() >= 0
            stored = plane_table.pictures()[law][i].numpy()
            assert np.allclose(a[law] * area, stored, atol=1e-7), (w, law)
        assert np.allclose(a["difference"], a["ode"] - a["sde"])
    assert all(np.array_equal(f.arrays["data"], frames[0.0].arrays["data"]) for f in frames.values())


def test_the_pictures_differ_and_can_be_drawn(frames):
    made = list(frames.values())
    for one, other in zip(made, made[1:], strict=False):
        assert np.abs(one.arrays["ode"] - other.arrays["ode"]).max() > 5e-3
    view = TwoRings().view()
    assert view.observables() <= set(made[0].arrays)
    assert len([ax for ax in still(view, made[0]).axes if ax.get_title()]) == 4


def test_other_weights_are_refused():
    with pytest.raises(ValueError, match="it takes one of 0.0, 0.1, 1.0, 10.0"):
        run(TwoRings, {"weight": 0.5})
