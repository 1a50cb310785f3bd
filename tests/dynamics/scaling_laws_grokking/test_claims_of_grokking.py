"""Every claim of the paper: quick ones run, long ones are stored and up to date."""
import numpy as np
import pytest
from claim_laws import claim_laws

from nde_lab.claims import claims
from nde_lab.dynamics.scaling_laws_grokking import phase

FAILS = {
    "stated_energy_values",             # four times as large as stated
    "output_layer_moves_first",         # about twice as far after 5 steps, not more than twice
    "decay_keeps_the_gradient_alive",   # at the larger rate Adam's own jitter fills G_F
    "muon_with_few_units",              # no gain in this small task
}
test_quick, test_long, test_fails_are_claims = claim_laws(claims(paper="provable-scaling-laws-grokking"), FAILS)


def test_crossing_reads_off_one_half():
    assert phase.crossing([0.1, 0.2, 0.3], [0.0, 0.25, 0.75]) == pytest.approx(0.25)
    assert np.isnan(phase.crossing([0.1, 0.2], [0.0, 0.4])) and np.isnan(phase.crossing([0.1, 0.2], [0.9, 1.0]))
    assert phase.predicted(23) == pytest.approx(0.3746, abs=1e-4)


def test_the_stored_diagram_can_be_drawn():
    from nde_lab.views import still
    frame = phase.stored_frame()
    assert phase.phase_view().observables() <= set(frame.arrays)
    assert frame.arrays["accuracy"].shape == (len(phase.FRACTIONS), len(phase.MODULI))
    assert len(still(phase.phase_view(), frame).axes) == 2


def test_a_small_diagram_by_sweep():
    made = phase.diagram(moduli=(11,), fractions=(0.3, 0.9), seeds=(0,), steps=150, lr=0.03)
    assert made.dims == ("group", "p", "seed") and made.shape == (1, 2, 1)
    assert float(made.sel(p=0.9).item()) > float(made.sel(p=0.3).item())


def test_the_diagram_is_a_picture_with_words_or_a_sentence(monkeypatch):
    from nde_lab.dynamics.scaling_laws_grokking import picture
    M, p = np.array([5.0, 7.0]), np.array([0.3, 0.6])
    arrays = {"M": M, "p": p, "accuracy": np.eye(2), "boundary": p, "M_line": M, "line": p}
    frame = phase.Frame(1, {}, arrays, phase.Status("finished", "finished", 1), {}, 0)
    monkeypatch.setattr(picture, "stored_frame", lambda: frame)
    data, metadata = picture.phase_diagram()._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR") and "log M / M" in metadata["image/png"]["alt"]

    def nothing():
        raise ValueError("the phase diagram is not stored")
    monkeypatch.setattr(picture, "stored_frame", nothing)
    assert picture.phase_diagram() == "the phase diagram is not stored"
