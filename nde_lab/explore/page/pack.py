"""Bytes into a page: raw deflate in base64, unpacked by ``inflate.js``; and numbers as 16-bit words."""
from __future__ import annotations

import base64
import json
import zlib

import numpy as np

NOT_FINITE = 65535      # the word for "nothing to draw here"


def packed(data: bytes) -> dict:
    """{size, data}: the length in bytes, and the deflated bytes in base64."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return {"size": len(data), "data": base64.b64encode(squeeze.compress(data) + squeeze.flush()).decode("ascii")}


def unpacked(made: dict) -> bytes:
    """The bytes again."""
    return zlib.decompress(base64.b64decode(made["data"]), -15)


def words(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Numbers of [low, high] as uint16, 0 .. 65534 linearly; the error is at most (high - low) / 131068.

    What is not finite becomes ``NOT_FINITE``.
    """
    span = high - low
    scaled = (np.asarray(values, dtype=np.float64) - low) / span if span > 0 else np.zeros(np.shape(values))
    fine = np.isfinite(values)
    return np.where(fine, np.rint(np.clip(np.where(fine, scaled, 0.0), 0.0, 1.0) * 65534), NOT_FINITE).astype("<u2")


def for_script(value) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
