import base64
import json

import numpy as np
from explore.page.node import run_js
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.explore.page.pack import NOT_FINITE, for_script, packed, unpacked, words


def _from_page(blobs: list[bytes]) -> list[bytes]:
    made = run_js("return payload.map((p) => Buffer.from(unpack(p)).toString('base64'));", "inflate.js",
                  payload=[packed(b) for b in blobs])
    return [base64.b64decode(m) for m in made]


def test_the_page_unpacks_what_python_packed():
    noise = np.random.default_rng(0)
    blobs = [b"", b"a", b"abc" * 20000, bytes(range(256)) * 3, noise.bytes(70000),
             "function step(x) { return x; }\n".encode() * 400, noise.normal(size=4000).astype("<f4").tobytes(),
             bytes(noise.integers(0, 3, 50000, dtype=np.uint8))]
    assert _from_page(blobs) == blobs


@settings(max_examples=5, deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=20))
def test_the_page_unpacks_any_bytes(blobs):
    assert _from_page(blobs) == blobs
    assert [unpacked(packed(b)) for b in blobs] == blobs


def test_damaged_data_are_an_error_and_not_a_picture():
    made = packed(b"something longer than nothing " * 30)
    cut = {**made, "data": base64.b64encode(base64.b64decode(made["data"])[:10]).decode()}
    short = {**made, "size": made["size"] - 1}
    said = run_js("return payload.map((p) => { try { unpack(p); return 'fine'; } catch (e) { return e.message; } });",
                  "inflate.js", payload=[cut, short])
    assert "end too early" in said[0]
    assert "not" in said[1] and said[1] != "fine"


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_words_are_within_half_a_step(values):
    x = np.array(values)
    low, high = float(x.min()), float(x.max())
    back = low + (high - low) * words(x, low, high).astype(float) / 65534
    assert np.all(np.abs(back - x) <= (high - low) / 131068 * (1 + 1e-6) + 1e-9)


def test_what_is_not_finite_has_its_own_word():
    assert words(np.array([np.nan, 0.0, np.inf, 1.0]), 0.0, 1.0).tolist() == [NOT_FINITE, 0, NOT_FINITE, 65534]


def test_json_cannot_end_its_script_element():
    text = for_script({"a": "</script><!-- x"})
    assert "</" not in text and "<!--" not in text
    assert json.loads(text) == {"a": "</script><!-- x"}
