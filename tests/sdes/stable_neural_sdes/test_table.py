"""The stored accuracy tables: present, not stale, and made of what they say."""
import numpy as np
import pytest

from nde_lab.claims import claims
from nde_lab.experiment import registered
from nde_lab.sdes.stable_neural_sdes import table

LONG = [c for c in claims(paper=table.PAPER) if c.cost == "long"]


@pytest.mark.parametrize("claim", LONG, ids=lambda c: c.name)
def test_a_long_claim_has_a_stored_result_of_the_present_code(claim):
    assert claim.stale() == ""
    assert claim.stored()["verdict"]["measured"]


def test_the_accuracy_criteria_on_the_sines_hold():
    stored = {c.name: c.stored()["verdict"]["holds"] for c in LONG}
    assert stored["sines_accuracy"] and stored["sines_need_the_path"] and stored["sines_robust_to_missing"]


def test_the_real_table_has_three_sets_five_models_and_four_rates_whatever_it_shows():
    measured = next(c for c in LONG if c.name == "real_series").stored()["verdict"]["measured"]
    assert len(measured) == 4 * 5 and all(len(v) == 4 and all(0 <= a <= 1 for a in v) for v in measured.values())
    for model in table.MODELS:
        sets = [measured[f"{name}: {model}"] for name in ("BasicMotions", "JapaneseVowels", "ItalyPowerDemand")]
        assert measured[f"average: {model}"] == pytest.approx(np.mean(sets, axis=0), abs=1.5e-3)


def test_the_studies_are_the_experiments_with_more_test_data_and_are_not_offered_to_readers():
    assert issubclass(table.SineStudy, table.SineClassifier) and "SineStudy" not in registered()
    study = table.SineStudy()
    assert study.draws().observe["xi"].shape == (39, 4, 400, 16) and study.data()["rates"].tolist()[0] == 0
    full = table.SeriesStudy(dataset="BasicMotions").data()["values"]
    assert full.shape[1] == 100


def test_a_short_study_gives_one_row_per_seed_and_one_column_per_rate():
    got = table.sweep(table.SineStudy, {"kind": ["naive"], "control": [False]}, range(2), steps=1)
    assert got.accuracy.shape == (1, 1, 2, 4) and ((got.accuracy >= 0.2) & (got.accuracy <= 0.5)).all()
