"""The real sets that aeon carries, and what happens with those that it does not."""
import importlib.util
import subprocess
import sys
from urllib.error import URLError

import numpy as np
import pytest
import torch

from nde_lab.data import archive, bundled, load_series

# series, shortest, longest, channels, classes: as the archives document them (train and test merged)
KNOWN = {
    "ArrowHead": (211, 251, 251, 1, 3),
    "BasicMotions": (80, 100, 100, 6, 4),
    "GunPoint": (200, 150, 150, 1, 2),
    "ItalyPowerDemand": (1096, 24, 24, 1, 2),
    "JapaneseVowels": (640, 7, 29, 12, 9),
    "OSULeaf": (442, 427, 427, 1, 6),
}


@pytest.fixture
def fresh():
    """No remembered names or readings, before and after."""
    for remembered in (bundled, archive._read):
        remembered.cache_clear()
    yield
    for remembered in (bundled, archive._read):
        remembered.cache_clear()


def test_bundled_are_the_classification_sets():
    assert set(KNOWN) <= set(bundled()) and list(bundled()) == sorted(bundled())
    assert "CardanoSentiment" not in bundled()               # carried too, but its target is a number
    assert "Airline" not in bundled()                        # one series, for forecasting


@pytest.mark.parametrize("name", KNOWN)
def test_known_sizes(name):
    n, shortest, longest, channels, classes = KNOWN[name]
    series = load_series(name)
    assert series.values.shape == (n, longest, channels) and series.values.dtype == torch.float32
    assert (int(series.lengths.min()), int(series.lengths.max())) == (shortest, longest)
    assert len(series.classes) == classes and series.labels.unique().tolist() == list(range(classes))
    assert float(series.times[0]) == 0 and float(series.times[-1]) == 1 and series.name == name


def test_every_bundled_set_loads():
    for name in bundled():
        series = load_series(name)
        beyond = torch.arange(series.values.shape[1]) >= series.lengths[:, None]
        assert bool(series.values[beyond].isnan().all())
        assert bool(series.observed.any(dim=(1, 2)).all())


def test_values_and_labels_are_those_of_the_file():
    series = load_series("JapaneseVowels", part="test")
    line = (archive._carried() / "JapaneseVowels" / "JapaneseVowels_TEST.ts").read_text().splitlines()[-1]
    *channels, label = line.split(":")
    expected = np.array([[float(x) for x in channel.split(",")] for channel in channels]).T
    assert series.lengths[-1] == len(expected) and series.classes[series.labels[-1]] == label
    np.testing.assert_allclose(series.values[-1, : len(expected)].numpy(), expected, rtol=1e-6)


def test_parts_and_thinning():
    both, train, test = (load_series("BasicMotions", part=part) for part in ("both", "train", "test"))
    assert len(train) == len(test) == 40 and train.classes == test.classes
    assert torch.equal(both.values, torch.cat([train.values, test.values]))
    vowels, thin = load_series("JapaneseVowels"), load_series("JapaneseVowels", every=4)
    assert torch.equal(thin.values.nan_to_num(9), vowels.values[:, ::4].nan_to_num(9))
    assert torch.equal(thin.lengths, (vowels.lengths + 3) // 4)


def test_what_is_loaded_is_the_callers_own():
    first = load_series("BasicMotions")
    first.values.zero_()
    assert float(load_series("BasicMotions").values.abs().max()) > 1


def test_unknown_names_are_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"set 'BasicMotion' \(did you mean BasicMotions") as caught:
        load_series("BasicMotion")
    message = str(caught.value)
    assert all(name in message for name in KNOWN) and "same function where there is a network" in message


@pytest.mark.parametrize(("options", "sentence"), [
    ({"part": "valid"}, "part is 'both', 'train' or 'test', got 'valid'"),
    ({"every": 0}, "every is a whole number >= 1"), ({"every": True}, "every is a whole number"),
])
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_series("BasicMotions", **options)


def test_without_a_network_other_sets_say_what_is_bundled(monkeypatch, tmp_path):
    from aeon.datasets import _data_loaders
    asked = []

    def no_network(request, *args, **kwargs):
        asked.append(request)
        raise URLError("no route")

    monkeypatch.setattr(_data_loaders, "urlopen", no_network)
    with pytest.raises(ConnectionError, match="'Epilepsy' is not on this machine.*no route.*BasicMotions"):
        load_series("Epilepsy", directory=tmp_path)
    assert asked                                             # aeon's downloader was really tried


def test_other_sets_load_from_a_directory(tmp_path):
    (tmp_path / "Toy").mkdir()
    for part in ("TRAIN", "TEST"):
        (tmp_path / "Toy" / f"Toy_{part}.ts").write_text(
            "@problemName Toy\n@univariate false\n@equalLength false\n@classLabel true up down\n@data\n"
            "1,?,3:4,5,6:up\n7,8:9,10:down\n")
    toy = load_series("Toy", directory=tmp_path)
    assert toy.values.shape == (4, 3, 2) and toy.lengths.tolist() == [3, 2, 3, 2]
    assert toy.classes == ("up", "down") and toy.labels.tolist() == [0, 1, 0, 1]
    assert toy.observed[0].tolist() == [[True, True], [False, True], [True, True]]
    # a directory does not hide what is bundled
    assert len(load_series("BasicMotions", directory=tmp_path)) == 80


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "Broken").mkdir()
    for part in ("TRAIN", "TEST"):
        (tmp_path / "Broken" / f"Broken_{part}.ts").write_text("@classLabel true a b\n@data\n1,2,x:a\n")
    with pytest.raises(ValueError, match="Broken: its files in .*Broken cannot be read as a classif"):
        load_series("Broken", directory=tmp_path)


def test_without_aeon_the_extra_is_named(monkeypatch, fresh):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for ask in (bundled, lambda: load_series("BasicMotions"), lambda: load_series("Epilepsy")):
        with pytest.raises(ImportError, match=r'aeon, which is not installed: pip install "nde_lab\[data\]"'):
            ask()


def test_nothing_heavy_is_imported_before_a_set_is_read():
    code = ("import sys, nde_lab.data, nde_lab.metrics; nde_lab.data.bundled(); "
            "print([m for m in ('aeon', 'pandas', 'numba', 'sklearn', 'torch._dynamo') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
