"""The same programs as plain JavaScript, for engines without WebAssembly SIMD: one function per loop nest.

Every operation is rounded to float32 (``f`` is ``Math.fround``), as the kernels round it: a value computed
twice must compare equal to itself, also where one copy went through memory. Sums run in double precision.
"""
from __future__ import annotations

import math
from collections import Counter

import numpy as np

from nde_lab.lowering.ir import FLOAT, INT, Expr, Multiply, Reduce, Repeat, Scan, View
from nde_lab.lowering.nest import Access, Nest, nest
from nde_lab.lowering.plan import Memory

# Expression templates; {0} {1} {2} are the arguments. Integers where the text differs from that of floats.
TEXT = {
    "add": "f({0}+{1})", "sub": "f({0}-{1})", "mul": "f({0}*{1})", "div": "f({0}/{1})", "neg": "-{0}",
    "max": "Math.max({0},{1})",
    "min": "Math.min({0},{1})", "where": "{0}?{1}:{2}", "lt": "-({0}<{1})", "le": "-({0}<={1})",
    "gt": "-({0}>{1})",
    "ge": "-({0}>={1})", "eq": "-({0}==={1})", "ne": "-({0}!=={1})", "and": "{0}&{1}", "or": "{0}|{1}",
    "xor": "{0}^{1}", "not": "~{0}", "f32_to_i32": "{0}|0", "i32_to_f32": "f({0})", "bool_to_i32": "-{0}",
    "bool_to_f32": "-{0}", "sigmoid": "f(1/(1+Math.exp(-{0})))", "round": "M.round({0})",
}
TEXT |= {n: f"Math.{n}({{0}})" for n in ("abs", "floor", "ceil", "trunc")}
TEXT |= {n: f"f(Math.{n}({{0}}))" for n in ("sqrt", "exp", "log", "tanh", "sin", "cos", "log1p", "expm1")}
TEXT |= {n: f"f(M.{n}({{0}}))" for n in ("tan", "atan", "asin", "acos", "sinh", "cosh", "asinh", "acosh",
                                         "atanh", "erf")}
TEXT |= {n: f"f(M.{n}({{0}},{{1}}))" for n in ("pow", "atan2")}
SUM_TEXT = {"sum": "{0}+{1}", "prod": "{0}*{1}"}
INT_TEXT = {"mul": "Math.imul({0},{1})", "add": "{0}+{1}|0", "sub": "{0}-{1}|0", "neg": "-{0}|0"}
START = {"sum": "0", "prod": "1", "max": "-Infinity", "min": "Infinity", "all": "-1", "any": "0"}
COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "all": "and", "any": "or"}
PRODUCT = """(a,b,c,m,n,k,ar,ac,br,cr)=>{for(let i=0;i<m;i++){const x=a+i*ar,z=c+i*cr;let l=0;F.fill(0,z,z+n);
for(;l+3<k;l+=4){const p=F[x+l*ac],q=F[x+(l+1)*ac],r=F[x+(l+2)*ac],s=F[x+(l+3)*ac],y=b+l*br;
for(let j=0;j<n;j++)F[z+j]+=p*F[y+j]+q*F[y+br+j]+r*F[y+2*br+j]+s*F[y+3*br+j]}
for(;l<k;l++){const p=F[x+l*ac],y=b+l*br;for(let j=0;j<n;j++)F[z+j]+=p*F[y+j]}}}"""


def plain_source(programs: dict[str, list[list]], memory: Memory) -> str:
    """``(F, I, M) => ({name: () => {...}, ...})`` over the float and integer views of one memory."""
    kernels: dict[str, str] = {}

    def calls(block: list[list], turns: dict) -> str:
        out = []
        for group in block:
            first = group[0]
            if isinstance(first, Repeat):
                t = f"t{len(turns)}"
                inner = calls(first.body, {**turns, first.turn: t})
                out.append(f"for(let {t}=0;{t}<{first.turn.n};{t}++){{{inner}}}")
            elif isinstance(first, Multiply):
                (m, k), n = first.a.shape, first.b.shape[1]
                where = [address(v, turns) for v in (first.a, first.b, first.out)]
                numbers = (m, n, k, *first.a.strides, first.b.strides[0], first.out.strides[0])
                out.append(f"mm({','.join([*where, *map(str, numbers)])})")
            else:
                made = nest(group)
                name = kernels.setdefault(_Plain(made).write(), f"k{len(kernels)}")
                out.append(f"{name}({','.join(address(v, turns) for v in made.pointers)})")
        return ";".join(out)

    def address(view: View, turns: dict) -> str:
        text = str(memory.at[view.buffer] + view.offset)
        return text + "".join(f"+{turns[t]}*{step}" if step > 0 else f"-{turns[t]}*{-step}" for t,
                              step in view.moves)
    bodies = ",\n".join(f"{name}:()=>{{{calls(block, {})}}}" for name, block in programs.items())
    functions = "".join(f"const {name}={text};\n" for text, name in kernels.items())
    return f"(F,I,M)=>{{\nconst f=Math.fround,mm={PRODUCT};\n{functions}return {{{bodies}}}}}"


class _Plain:
    """Writes one nest as the text of an arrow function of element addresses."""

    def __init__(self, made: Nest):
        self.nest, self.lines = made, []
        self.scopes: list[dict[Expr, str]] = [{}]
        self.names = 0
        self.uses: Counter = Counter()
        self.hoisted: dict[int, list[Expr]] = {}
        seen: set[Expr] = set()

        def visit(e: Expr, outer: int) -> None:
            self.uses[e] += 1
            depth = made.depth(e)
            if depth < outer and e.op != "const" and e not in self.hoisted.setdefault(depth, []):
                self.hoisted[depth].append(e)
            if e not in seen:
                seen.add(e)
                for a in e.args:
                    visit(a, depth)
        for access, value, _ in made.outs:
            for e in (*access.index, value):
                visit(e, len(made.sizes))

    def write(self) -> str:
        self.enter(0)
        first = self.nest.outs[0][2]
        kept = len(self.nest.sizes) - self.nest.reduced
        self.loops(0, kept, {Reduce: self.reduce, Scan: self.scan}.get(type(first), self.stores))
        return f"({','.join(f'p{i}' for i in range(len(self.nest.pointers)))})=>{{{''.join(self.lines)}}}"

    def enter(self, depth: int) -> None:
        for e in reversed(self.hoisted.get(depth, [])):      # users come before what they use
            self.named(e)

    def loops(self, depth: int, stop: int, inside) -> None:
        if depth == stop:
            inside()
            return
        self.lines.append(f"for(let i{depth}=0;i{depth}<{self.nest.sizes[depth]};i{depth}++){{")
        self.scopes.append({})
        self.enter(depth + 1)
        self.loops(depth + 1, stop, inside)
        self.scopes.pop()
        self.lines.append("}")

    def stores(self) -> None:
        for access, value, s in self.nest.outs:
            text = self.text(value)
            self.lines.append(f"{self.place(access, value.dtype)}{'+=' if s.accumulate else '='}{text};")

    def place(self, access: Access, dtype: str) -> str:
        parts = [f"p{access.pointer}"]
        parts += [f"i{d}" if s == 1 else f"i{d}*{s}" if s > 0 else f"i{d}*({s})"
                  for d, s in enumerate(access.strides) if s]
        parts += [f"{self.text(e)}*({s})" for e, s in zip(access.index, access.steps, strict=True)]
        return f"{'F' if dtype == FLOAT else 'I'}[{'+'.join(parts)}]"

    def reduce(self) -> None:
        access, value, s = self.nest.outs[0]
        depth, full = len(self.nest.sizes) - self.nest.reduced, len(self.nest.sizes)
        if s.op.startswith("arg"):
            self.lines.append("let a=0,z=0;")

            def turn() -> None:
                now = self.named(value)
                sign = ">" if s.op == "argmax" else "<"
                first = f"i{depth}===0||" if depth < full else "true||"
                self.lines.append(f"if({first}{now}{sign}a||({now}!=={now}&&a===a)){{a={now};"
                                  f"z={f'i{depth}' if depth < full else 0}}}")
            self.loops(depth, full, turn)
            self.lines.append(f"{self.place(access, INT)}=z;")
            return
        self.lines.append(f"let a={START[s.op]};")
        self.loops(depth, full, lambda: self.lines.append(f"a={self.combine('a', value, s.op)};"))
        self.lines.append(f"{self.place(access, value.dtype)}=a;")

    def combine(self, total: str, value: Expr, op: str) -> str:
        # The value's text may add lines, so it is made first.
        text = SUM_TEXT.get(op) if value.dtype == FLOAT else INT_TEXT.get(COMBINE[op])
        return (text or TEXT[COMBINE[op]]).format(total, self.text(value))

    def scan(self) -> None:
        access, value, s = self.nest.outs[0]
        self.lines.append(f"let a={START[s.op]};")

        def turn() -> None:
            step = self.combine("a", value, s.op)
            self.lines.append(f"a={step};{self.place(access, value.dtype)}=a;")
        self.loops(len(self.nest.sizes) - self.nest.reduced, len(self.nest.sizes), turn)

    def named(self, e: Expr) -> str:
        """``e`` as a name declared in the present scope."""
        for scope in reversed(self.scopes):
            if e in scope:
                return scope[e]
        text = self.text(e, fresh=True)
        name, self.names = f"v{self.names}", self.names + 1
        self.lines.append(f"const {name}={text};")
        self.scopes[-1][e] = name
        return name

    def text(self, e: Expr, fresh: bool = False) -> str:
        for scope in reversed(self.scopes):
            if not fresh and e in scope:
                return scope[e]
        if e.op == "const":
            return _number(e.value)
        if not fresh and self.uses[e] > 1:
            return self.named(e)
        if e.op == "load":
            return self.place(self.nest.loads[e], e.dtype)
        table = {**TEXT, **(INT_TEXT if e.dtype == INT else {})}
        return f"({table[e.op].format(*(self.text(a) for a in e.args))})"


def _number(x) -> str:
    if isinstance(x, float) and not math.isfinite(x):
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "(-Infinity)"
    x = x if isinstance(x, int) else float(np.float32(x))
    whole = x == int(x) and abs(x) < 2**53 and not (x == 0 and math.copysign(1, x) < 0)
    text = str(int(x)) if whole else repr(x)
    return f"({text})" if text.startswith("-") else text
