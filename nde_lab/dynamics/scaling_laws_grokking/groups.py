"""Finite groups as multiplication tables, and the modes (real isotypic components) of the functions on them.

A function on a group of M elements is a vector of M numbers. The space of these splits, in one way only, into
smallest subspaces that every translation, left or right, leaves in place: the modes. For Z_M they are the Fourier
frequencies (a cosine and a sine each); in general mode k belongs to an irreducible representation of degree
d_k, or to a conjugate pair of them, and has dimension d_k^2 or 2 d_k^2 (Serre, "Linear representations of
finite groups", sections 2.6 and 13.2). They are found from the table alone: convolutions with conjugacy classes
commute with each other and with all translations, and their common eigenspaces are the modes.
"""
from __future__ import annotations

import functools
import itertools
import math
import re
from dataclasses import dataclass

import numpy as np

LARGEST = 150        # elements: the check of associativity reads M^3 products


@dataclass(frozen=True, eq=False)
class Group:
    """``table[a, b]`` is the number of the product a b, (M, M) integers; element 0 is the identity.

    Raises ValueError with the law that a table breaks.
    """
    name: str
    table: np.ndarray

    def __post_init__(self):
        t = np.asarray(self.table)
        if t.ndim != 2 or t.shape[0] != t.shape[1] or not 2 <= len(t) <= LARGEST:
            raise ValueError(f"a group's table is square with 2 to {LARGEST} rows, got shape {t.shape}")
        if not np.issubdtype(t.dtype, np.integer) or t.min() < 0 or t.max() >= len(t):
            raise ValueError(f"the products of {self.name} must be whole numbers from 0 to {len(t) - 1}")
        every = np.arange(len(t))
        if (t[0] != every).any() or (t[:, 0] != every).any():
            raise ValueError(f"element 0 of {self.name} must be the identity; renumber the elements")
        if (np.sort(t, 0).T != every).any() or (np.sort(t, 1) != every).any():
            raise ValueError(f"{self.name} is no group: each element must stand once in each row and column")
        if (t[t] != t[:, t]).any():
            raise ValueError(f"{self.name} is no group: its product is not associative")
        object.__setattr__(self, "table", t.astype(np.int64))

    @property
    def M(self) -> int:
        """The number of elements."""
        return len(self.table)

    @property
    def abelian(self) -> bool:
        return bool((self.table == self.table.T).all())

    @property
    def inverse(self) -> np.ndarray:
        """inverse[a] is the number of the inverse of a: (M,)."""
        return np.nonzero(self.table == 0)[1]

    @functools.cached_property
    def classes(self) -> list[np.ndarray]:
        """Conjugacy classes, each joined with that of the inverses; the identity's first."""
        t, inverse, seen, found = self.table, self.inverse, set(), []
        for g in range(self.M):
            if g not in seen:
                same = {int(t[t[h, g], inverse[h]]) for h in range(self.M)}
                same |= {int(inverse[h]) for h in same}
                seen |= same
                found.append(np.array(sorted(same)))
        return found


def cyclic(n: int) -> Group:
    """Z_n: addition modulo n."""
    a = np.arange(n)
    return Group(f"Z{n}", (a[:, None] + a) % n)


def dihedral(n: int) -> Group:
    """D_n, order 2n: turns r^0 .. r^{n-1} and flips r^k s of a regular n-gon. Not Abelian for n >= 3."""
    k, flip = np.arange(2 * n) % n, np.arange(2 * n) // n
    turned = (k[:, None] + (1 - 2 * flip[:, None]) * k) % n
    return Group(f"D{n}", turned + n * ((flip[:, None] + flip) % 2))


def symmetric(n: int) -> Group:
    """S_n: all permutations of n things, order n!."""
    each = list(itertools.permutations(range(n)))
    number = {p: i for i, p in enumerate(each)}
    return Group(f"S{n}", np.array([[number[tuple(p[i] for i in q)] for q in each] for p in each]))


def quaternion() -> Group:
    """Q_8: the quaternions 1, -1, i, -i, j, -j, k, -k."""
    unit = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])      # 1, i, j, k without signs
    sign = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 1, 1]])
    u, s = np.arange(8) // 2, np.arange(8) % 2
    return Group("Q8", 2 * unit[np.ix_(u, u)] + (sign[np.ix_(u, u)] + s[:, None] + s) % 2)


def product(first: Group, second: Group) -> Group:
    """The direct product: pairs, multiplied entry by entry."""
    n = second.M
    a, b = np.divmod(np.arange(first.M * n), n)
    return Group(f"{first.name}x{second.name}", first.table[np.ix_(a, a)] * n + second.table[np.ix_(b, b)])


@functools.cache
def group(name: str) -> Group:
    """A group by its name: "Z23", "D11", "S4", "Q8", or a direct product such as "Z5xZ5".

    Raises ValueError for a name that is not understood, and for groups of more than 150 elements.
    """
    makers = {"Z": cyclic, "D": dihedral, "S": symmetric}
    size = {"Z": lambda n: n, "D": lambda n: 2 * n, "S": lambda n: math.factorial(min(n, 20))}
    made, order = None, 1
    for part in str(name).split("x"):
        read = re.fullmatch(r"([ZDS])([1-9]\d*)", part)
        if part != "Q8" and (read is None or int(read[2]) < 2):
            raise ValueError(f"unknown group {name!r}; write Z23, D11, S4, Q8, or a product such as Z5xZ5")
        order *= 8 if part == "Q8" else size[read[1]](int(read[2]))
        if order > LARGEST:
            raise ValueError(f"{name} has more than {LARGEST} elements; take a smaller group")
        one = quaternion() if part == "Q8" else makers[read[1]](int(read[2]))
        made = one if made is None else product(made, one)
    return made


@dataclass(frozen=True, eq=False)
class Modes:
    """The modes of a group, the constant functions first; for Z_M mode k is frequency k.

    basis (M, M): orthonormal columns; of (M,): the mode of each column; degree: d_k of each mode;
    kind: "real", "complex" (a conjugate pair) or "quaternionic" (by the Frobenius-Schur indicator).
    """
    basis: np.ndarray
    of: np.ndarray
    degree: tuple[int, ...]
    kind: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.degree)

    @property
    def gather(self) -> np.ndarray:
        """(modes, M), 0 or 1: adds up squared coefficients to one power per mode."""
        return (self.of == np.arange(len(self))[:, None]).astype(float)

    def power(self, u: np.ndarray) -> np.ndarray:
        """Squared length of the part of ``u`` (M, ...) in each mode: (modes, ...)."""
        return self.gather @ (self.basis.T @ u) ** 2

    def top_energy(self) -> np.ndarray:
        """The largest energy of a unit vector within each mode, (modes,); NaN for the constant mode, which has
        none. M/(2d) for real, M/(4d) for complex and quaternionic ones (derived in the chapter's terms: the
        convolution theorem turns the energy into (2/M) sum_k d_k |A_k B_k|^2)."""
        M = len(self.basis)
        return np.array([math.nan] + [M / ((2 if kind == "real" else 4) * d)
                                      for d, kind in zip(self.degree[1:], self.kind[1:], strict=True)])


@functools.cache
def modes(name: str) -> Modes:
    """The modes of the group called ``name``."""
    G = group(name)
    ratio = G.table[:, G.inverse]                              # ratio[y, x] = y x^-1
    smoothed = [np.isin(ratio, c).astype(float) for c in G.classes]
    weights = np.random.default_rng(0).normal(size=len(smoothed))
    values, vectors = np.linalg.eigh(sum(w * C for w, C in zip(weights, smoothed, strict=True)))
    splits = np.flatnonzero(np.diff(values) > 1e-7 * np.abs(values).max()) + 1
    spaces = np.split(vectors, splits, axis=1)
    # Eigenvalues of every class sum, the classes of generators first: for Z_M this sorts by frequency.
    keys = [tuple(-round(float((V[:, 0] @ C @ V[:, 0])), 6) for C in smoothed) for V in spaces]
    spaces = [spaces[i] for i in sorted(range(len(spaces)), key=keys.__getitem__)]
    degree, kind = [], []
    for V in spaces:
        d = math.isqrt(V.shape[1])
        d = d if d * d == V.shape[1] else math.isqrt(V.shape[1] // 2)
        indicator = (V @ V[0])[np.diag(G.table)].sum() / d      # sum of the projector's column at the squares
        degree.append(d)
        kind.append({1: "real", 0: "complex", -1: "quaternionic"}[round(float(indicator))])
    of = np.repeat(np.arange(len(spaces)), [V.shape[1] for V in spaces])
    return Modes(np.concatenate(spaces, axis=1), of, tuple(degree), tuple(kind))
