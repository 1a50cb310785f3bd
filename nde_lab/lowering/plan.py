"""Where every buffer lies, and which statements move: passes over the statements of a program."""
from __future__ import annotations

from nde_lab.lowering.ir import Buffer, Program, Repeat, Store, reads

ALIGN = 4                    # elements: 16 bytes
RESERVED = 512               # elements at the start of the memory, for vector constants of the math functions
PAD = 3                      # elements that a vector may touch behind the last one


def writes(s) -> Buffer:
    return s.out.buffer


def buffers(s) -> set[Buffer]:
    """All buffers that a statement touches, those inside a Repeat too."""
    if isinstance(s, Repeat):
        return set().union(*(buffers(t) for t in s.body)) if s.body else set()
    return {v.buffer for v in reads(s)} | {writes(s)}


def _writers(statements: list, counts: dict | None = None) -> dict[Buffer, int]:
    counts = {} if counts is None else counts
    for s in statements:
        if isinstance(s, Repeat):
            _writers(s.body, counts)
        else:
            counts[writes(s)] = counts.get(writes(s), 0) + 1
    return counts


def hoist(statements: list) -> list:
    """Move what is the same in every turn of a loop before the loop."""
    counts = _writers(statements)

    def lift(block: list) -> list:
        out = []
        for s in block:
            if isinstance(s, Repeat):
                s.body = lift(s.body)
                inner = _writers(s.body)
                stay, before = [], []
                for t in s.body:
                    if not isinstance(t, Repeat) and _invariant(t, s, inner, counts):
                        before.append(t)
                        del inner[writes(t)]
                    else:
                        stay.append(t)
                s.body = stay
                out += before
            out.append(s)
        return out
    return lift(statements)


def _invariant(t, loop: Repeat, inner: dict, counts: dict) -> bool:
    views = [*reads(t), t.out]
    return (counts[writes(t)] == 1 and writes(t).kind == "temp" and not getattr(t, "accumulate", False)
            and all(turn is not loop.turn for v in views for turn, _ in v.moves)
            and all(v.buffer not in inner for v in reads(t)))


def merge(statements: list) -> list[list]:
    """Group neighbouring stores over one shape into single kernels (lists); other statements stay alone.

    A store joins a group if it may run in the same loop: what it reads from the group, it reads at the very
    place that was written, and it writes nothing that the group reads elsewhere."""
    groups: list[list] = []
    for s in statements:
        if isinstance(s, Repeat):
            groups.append([Repeat(s.turn, merge(s.body))])
        elif groups and _joins(groups[-1], s):
            groups[-1].append(s)
        else:
            groups.append([s])
    return groups


def _joins(group: list, s) -> bool:
    simple = lambda t: isinstance(t, Store) and not t.accumulate and not t.index     # noqa: E731
    if not simple(s) or not all(map(simple, group)) or group[0].out.shape != s.out.shape or len(group) >= 6:
        return False
    outs = {t.out.buffer: t.out for t in group}
    if s.out.buffer in outs:
        return False
    if any(e.view.buffer is s.out.buffer for t in group for e in t.value.leaves()):
        return False
    for e in s.value.leaves():
        if e.view.buffer in outs and (e.view != outs[e.view.buffer] or e.args or not e.view.contiguous):
            return False
        # Addresses are made at the start of a turn, before its stores: an index must not come from the group.
        if any(leaf.view.buffer in outs for a in e.args for leaf in a.leaves()):
            return False
    return True


def lifetimes(block: list[list]) -> dict[Buffer, tuple[int, int]]:
    """First and last group of ``block`` that touches each buffer."""
    spans: dict[Buffer, tuple[int, int]] = {}
    for i, group in enumerate(block):
        for s in group:
            for b in _touched(s):
                spans[b] = (spans[b][0] if b in spans else i, i)
    return spans


def _touched(s) -> set[Buffer]:
    if isinstance(s, Repeat):
        return set().union(*(_touched(t) for g in s.body for t in g)) if s.body else set()
    return buffers(s)


class Memory:
    """Gives every buffer its element offset. Interface and constants first, temporaries share what is
    left."""

    def __init__(self, start: int = RESERVED):
        self.at: dict[Buffer, int] = {}
        self.top = start

    def keep(self, b: Buffer) -> None:
        """A place for good."""
        if b not in self.at:
            self.at[b] = self.top
            self.top += _room(b)

    def plan(self, programs: list[list[list]]) -> None:
        """Place the temporaries of all programs (they run one at a time, so they share the space)."""
        base = end = self.top
        for block in programs:
            end = max(end, self._block(block, base, set(self.at)))
        self.top = end

    def _block(self, block: list[list], base: int, placed: set[Buffer]) -> int:
        """First fit by lifetime; a buffer used inside one loop only is placed with the body of that loop."""
        spans = {b: span for b, span in lifetimes(block).items() if b not in placed}
        inner: dict[int, set[Buffer]] = {}
        for i, group in enumerate(block):
            if isinstance(group[0], Repeat):
                inner[i] = {b for b in _touched(group[0]) if b in spans and spans[b] == (i, i)}
        local = set().union(*inner.values()) if inner else set()
        live: list[tuple[int, int, int]] = []               # (start, end, last group)
        top = base
        for i, group in enumerate(block):
            live = [x for x in live if x[2] >= i]
            for b, (first, last) in spans.items():
                if first == i and b not in local:
                    start = _fit(live, base, _room(b))
                    self.at[b] = start
                    live.append((start, start + _room(b), last))
                    top = max(top, start + _room(b))
            if i in inner:
                # The body's own buffers go behind everything alive during the loop.
                floor = max([base, *(x[1] for x in live)])
                top = max(top, self._block(group[0].body, floor, placed | (set(spans) - inner[i])))
        return top


def _room(b: Buffer) -> int:
    return -(-(b.size + PAD) // ALIGN) * ALIGN


def _fit(live: list[tuple[int, int, int]], base: int, size: int) -> int:
    start = base
    for s, e, _ in sorted(live):
        if start + size <= s:
            break
        start = max(start, e)
    return start


def schedule(program: Program) -> list[list]:
    """All passes: the groups of statements to be written as kernels."""
    return merge(hoist(program.statements))


