"""Real series: the UEA and UCR classification sets, read with aeon, whose wheel carries a handful of them.

The first ``load_series`` of a process imports aeon's readers, which pull numba, scikit-learn and pandas
(about 4 s on one core); reading itself takes milliseconds, and what was read is kept for the process. Nothing
of aeon is imported before that, and ``bundled`` does without.
"""
from __future__ import annotations

import difflib
import functools
import importlib.util
from pathlib import Path

import numpy as np

from nde_lab.data.series import Series, as_series


def _carried() -> Path:
    """The folder of data sets inside the installed aeon (found without importing aeon)."""
    found = importlib.util.find_spec("aeon")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError('the real series come with the package aeon, which is not installed: '
                                  'pip install "nde_lab[data]"', name="aeon")
    return Path(found.submodule_search_locations[0]) / "datasets" / "data"


def _header(path: Path) -> dict[str, str]:
    """The "@key value" lines of a .ts file, in lower case."""
    header = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            key, _, value = line.strip().lower().partition(" ")
            if key == "@data":
                break
            if key.startswith("@"):
                header[key[1:]] = value
    return header


@functools.cache
def bundled() -> tuple[str, ...]:
    """Names of the classification sets that the installed aeon carries, which load without a network.

    ("UnitTest" among them is a cut-down "Chinatown", for quick tests.) ModuleNotFoundError without aeon.
    """
    names = []
    for folder in _carried().iterdir():
        train, test = (folder / f"{folder.name}_{part}.ts" for part in ("TRAIN", "TEST"))
        if train.is_file() and test.is_file() and _header(train).get("classlabel", "").startswith("true"):
            names.append(folder.name)
    return tuple(sorted(names))


def load_series(name: str, *, part: str = "both", every: int = 1,
                directory: str | Path | None = None) -> Series:
    """One classification set of the UEA / UCR archives, with NaN where a value is missing.

    name       of the set, such as "BasicMotions". The names in ``bundled()`` need no network; any other set
               that aeon knows is downloaded once and kept
    part       "both" (train and test merged, as in the paper's protocol), "train" or "test", as archived
    every      keep the points 0, every, 2 every, ...: a coarser grid for quick figures
    directory  where downloaded sets are kept, and looked for first (directory/NAME/NAME_TRAIN.ts and
               NAME_TEST.ts); default: aeon's own, $AEON_DATA or the folder aeon_data in the user's home

    Series of unequal lengths (JapaneseVowels: 7 to 29 points) keep their lengths: they share the sampling
    interval, the longest ends at time 1, the others before it. Class names are in lower case.

    ValueError for an unknown name or a wrong ``part`` or ``every``; ModuleNotFoundError without aeon;
    ConnectionError if the set is not on this machine and cannot be downloaded.
    """
    if part not in ("both", "train", "test"):
        raise ValueError(f"part is 'both', 'train' or 'test', got {part!r}")
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every is a whole number >= 1 (keep each such point), got {every!r}")
    directory = None if directory is None else str(Path(directory).expanduser())
    rows, labels, classes = _read(str(name), part, directory)
    return as_series([row[::every] for row in rows], labels, classes=classes, name=str(name))


@functools.lru_cache(maxsize=16)
def _read(name: str, part: str, directory: str | None) -> tuple[list[np.ndarray], list[str], list[str]]:
    """Arrays (L_i, C), their labels, and the classes in the archive's order."""
    local = directory is not None and (Path(directory) / name / f"{name}_TRAIN.ts").is_file()
    if not local and name in bundled():
        local, directory = True, str(_carried())
    if not local:
        from aeon.datasets.tsc_datasets import tsc_zenodo
        if name not in tsc_zenodo:
            close = difflib.get_close_matches(name, {*bundled(), *tsc_zenodo}, n=3)
            hint = f" (did you mean {', '.join(close)}?)" if close else ""
            raise ValueError(f"unknown data set {name!r}{hint}; {_what_there_is()}")
    from aeon.datasets import load_classification
    try:
        cases, labels, meta = load_classification(
            name, split=None if part == "both" else part, extract_path=directory, return_metadata=True,
            load_equal_length=False, load_no_missing=False)
    except (ValueError, OSError) as error:
        if local:
            raise ValueError(f"{name}: its files in {Path(directory).name}/{name} cannot be read as a "
                             f"classification set: {error}") from error
        raise ConnectionError(f"the data set {name!r} is not on this machine and could not be downloaded "
                              f"({error}); {_what_there_is()}") from error
    return [np.asarray(case).T for case in cases], list(labels), list(meta["class_values"])


def _what_there_is() -> str:
    return (f"bundled, and usable without a network: {', '.join(bundled())}. The other UEA / UCR sets load "
            "through the same function where there is a network")
