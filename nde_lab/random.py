"""Declared randomness: every random number is a function of (seed, stream, step, name, index).

An experiment never draws. It declares what it needs (``Normal((50, 16))``, ``Index((50,), 300)``), and whoever runs it
- the kernel, the page in a browser, a test - makes the same numbers from the counter-based generator Philox4x32-10
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). No number depends on who asked first.

Layout, shared with the browser's twin. One Philox block gives four 32-bit words:
    counter = (block, step, crc32(name), crc32(stream)),   key = (seed mod 2^32, seed div 2^32),
and a declared tensor with n entries reads the words 0 .. m-1 of the blocks 0, 1, ... in order, where
    Uniform      word w -> u = (w >> 8) / 2^24 in [0, 1), then low + (high - low) u;
    Index        word w -> floor(w * high / 2^32);
    Permutation  the indices 0 .. n-1 sorted by their words (ties by index);
    Normal       words (2k, 2k+1) -> the pair r cos(a), r sin(a), r = sqrt(-2 log((w_2k + 1/2) / 2^32)),
                 a = 2 pi (w_2k+1 / 2^32) (Box-Muller), then loc + scale z.
All of this happens in float64 and is rounded once, to the experiment's dtype.
"""
from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)      # multipliers and key increments of Philox4x32
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def _check_shape(shape) -> tuple[int, ...]:
    if not isinstance(shape, (tuple, list)) or not all(isinstance(n, int) and n >= 1 for n in shape):
        raise ValueError(f"the shape of a declared random tensor is a tuple of integers >= 1, got {shape!r}")
    return tuple(shape)


@dataclass(frozen=True)
class Normal:
    """Independent normal entries with mean ``loc`` and standard deviation ``scale``."""
    shape: tuple[int, ...]
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "shape", _check_shape(self.shape))

    def words(self) -> int:
        return 2 * math.ceil(math.prod(self.shape) / 2)

    def transform(self, words: np.ndarray, dtype: torch.dtype) -> Tensor:
        # In torch, whose logarithm and cosine are several times as fast as numpy's.
        pairs = torch.from_numpy(words.reshape(-1, 2).astype(np.float64))
        radius = pairs[:, 0].add(0.5).div_(4294967296.0).log_().mul_(-2.0).sqrt_()
        angle = pairs[:, 1].div(4294967296.0).mul_(2.0 * math.pi)
        z = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1).reshape(-1)
        z = self.loc + self.scale * z[: math.prod(self.shape)]
        return z.to(dtype).reshape(self.shape)


@dataclass(frozen=True)
class Uniform:
    """Independent entries, uniform on [low, high) (24 random bits each)."""
    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "shape", _check_shape(self.shape))
        if not self.low < self.high:
            raise ValueError(f"Uniform needs low < high, got low={self.low}, high={self.high}")

    def words(self) -> int:
        return math.prod(self.shape)

    def transform(self, words: np.ndarray, dtype: torch.dtype) -> Tensor:
        u = (words >> 8).astype(np.float64) / 16777216.0
        return torch.from_numpy(self.low + (self.high - self.low) * u).to(dtype).reshape(self.shape)


@dataclass(frozen=True)
class Index:
    """Independent integers, uniform on 0 .. high-1 (a mini-batch drawn with replacement). int64."""
    shape: tuple[int, ...]
    high: int

    def __post_init__(self):
        object.__setattr__(self, "shape", _check_shape(self.shape))
        if not (isinstance(self.high, int) and 1 <= self.high <= 2**20):
            raise ValueError(f"Index needs an integer high between 1 and 2^20, got {self.high!r}")

    def words(self) -> int:
        return math.prod(self.shape)

    def transform(self, words: np.ndarray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy((words.astype(np.uint64) * np.uint64(self.high) >> _HALF).astype(np.int64)).reshape(
            self.shape)


@dataclass(frozen=True)
class Permutation:
    """A random order of 0 .. n-1. int64, shape (n,)."""
    n: int

    def __post_init__(self):
        if not (isinstance(self.n, int) and 1 <= self.n <= 2**20):
            raise ValueError(f"Permutation needs an integer n between 1 and 2^20, got {self.n!r}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n,)

    def words(self) -> int:
        return self.n

    def transform(self, words: np.ndarray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(np.argsort(words, kind="stable").astype(np.int64))


Declaration = Normal | Uniform | Index | Permutation
STREAMS = ("start", "step", "observe")


@dataclass(frozen=True)
class Draws:
    """Every random tensor of an experiment: once at the start, anew each step, and frozen for the observer."""
    start: Mapping[str, Declaration] = field(default_factory=dict)
    step: Mapping[str, Declaration] = field(default_factory=dict)
    observe: Mapping[str, Declaration] = field(default_factory=dict)

    def __post_init__(self):
        for stream in STREAMS:
            for name, declared in getattr(self, stream).items():
                if not isinstance(declared, Declaration):
                    raise ValueError(f"draws: {stream}.{name} is {declared!r}; declare Normal, Uniform, Index or "
                                     "Permutation from nde_lab.random")


def philox(counter: tuple, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10. ``counter``: four uint64 arrays (or ints) that broadcast, holding 32-bit values -> (n, 4) uint32."""
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(c, dtype=np.uint64) for c in counter))
    k0, k1 = key
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def check_seed(seed) -> int:
    """A seed is an integer from 0 to 2^53 - 1 (exact in a browser too)."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**53:
        raise ValueError(f"a seed is an integer from 0 to 2^53 - 1, got {seed!r}")
    return int(seed)


class Sampler:
    """Draws all the declared tensors of one stream, one step at a time, in a single pass of the generator."""

    def __init__(self, declarations: Mapping[str, Declaration], *, seed: int, stream: str,
                 dtype: torch.dtype = torch.float32):
        seed = check_seed(seed)
        self.declarations, self.dtype = dict(declarations), dtype
        self.key = (seed & 0xFFFFFFFF, seed >> 32)
        self.stream = zlib.crc32(stream.encode())
        blocks = [np.arange(math.ceil(d.words() / 4), dtype=np.uint64) for d in self.declarations.values()]
        self.block = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.uint64)
        self.name = np.concatenate([np.full(len(b), zlib.crc32(n.encode()), dtype=np.uint64)
                                    for n, b in zip(self.declarations, blocks, strict=True)] or [self.block])
        self.starts = np.cumsum([0] + [4 * len(b) for b in blocks])

    def at(self, step: int) -> dict[str, Tensor]:
        """The tensors of step ``step`` (an integer >= 0), by name."""
        if not self.declarations:
            return {}
        words = philox((self.block, step, self.name, self.stream), self.key).reshape(-1)
        return {name: d.transform(words[start:start + d.words()], self.dtype)
                for (name, d), start in zip(self.declarations.items(), self.starts, strict=False)}


def sample(declarations: Mapping[str, Declaration], *, seed: int, stream: str, step: int = 0,
           dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """One step's declared tensors: ``sample({"dW": Normal((100, 8))}, seed=0, stream="step", step=3)["dW"]``."""
    return Sampler(declarations, seed=seed, stream=stream, dtype=dtype).at(step)
