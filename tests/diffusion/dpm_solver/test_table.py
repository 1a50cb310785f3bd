"""The table of all samplers: its rows, its floor, its refusals, and what the chapter says of it."""
import pytest

from nde_lab.diffusion.dpm_solver import table


@pytest.fixture(scope="module")
def rows():
    return table.flow_table((12, 48))


def test_every_sampler_has_its_numbers(rows):
    assert len(rows) == 10
    for name, (errors, distances) in rows.items():
        assert len(distances) == 2 and len(errors) == (0 if name in table.RANDOM else 2)


def test_more_evaluations_are_better_and_order_three_reaches_the_floor(rows):
    floor = rows["the exact flow"][1][1]
    for name, (errors, distances) in rows.items():
        if name in ("the exact flow", *table.RANDOM):
            continue
        assert errors[1] < errors[0]
        assert distances[1] < distances[0]
    assert abs(rows["order 3"][1][1] - floor) < rows["order 3"][0][1] and floor < 2e-3


def test_first_order_and_ddim_share_a_row(rows):
    assert rows["order 1"][0] == pytest.approx(rows["DDIM"][0], rel=1e-9)


def test_at_twelve_evaluations_plain_steps_in_t_are_ahead_and_at_forty_eight_behind(rows):
    assert rows["Euler in t"][0][0] < rows["order 3"][0][0]
    assert rows["order 3"][0][1] < min(rows[n][0][1] for n in ("Euler in t", "midpoint in t", "RK4 in t"))


def test_restoration_and_text():
    made = table.restoration_table((12,))
    assert made["data o2"][0][0] < made["noise o2"][0][0] < made["Euler in t"][0][0]
    text = table.as_text(made, (12,)).splitlines()
    assert len(text) == 2 + len(made) and text[2].endswith("-")


def test_refusal():
    with pytest.raises(ValueError, match="unknown random sampler 'PC'; there are Euler-Maruyama"):
        table.noisy("PC", 12)
