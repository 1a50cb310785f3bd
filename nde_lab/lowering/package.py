"""Puts a lowered module together: decompose, build, plan, emit (``assemble``), and the JavaScript around it
(``package``)."""
from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from importlib import resources

from nde_lab.lowering.ir import BOOL, FLOAT, INT
from nde_lab.lowering.plan import Memory, schedule

DTYPE_NAMES = {FLOAT: "float32", INT: "int32", BOOL: "bool"}


@dataclass(frozen=True)
class Lowered:
    """source: a JavaScript function expression; manifest: its programs, inputs and outputs (plain JSON)."""
    source: str
    manifest: dict


@dataclass(frozen=True)
class Place:
    """One input or output: ``offset`` counts elements of four bytes from the start of the memory; dtype is
    "float32", "int32" or "bool" (stored as 0 / -1)."""
    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    size: int


@dataclass(frozen=True)
class Assembled:
    """A WebAssembly module that exports one function without arguments per program, and what its host must
    know. The module imports its memory ("m" "m", ``pages`` pages of 64 KiB; see ``fused``); ``constants`` are
    (offset in elements, bytes) to be written there before the first call; ``programs`` is name -> {"inputs":
    [Place], "outputs": [Place]}."""
    wasm: bytes
    pages: int
    constants: list[tuple[int, bytes]]
    programs: dict[str, dict[str, list[Place]]]
    blocks: dict = field(repr=False, default_factory=dict)      # scheduled statements, for the plain engine
    memory: Memory | None = field(repr=False, default=None)


def assemble(graphs: dict, *, fused: bool = False) -> Assembled:
    """Lower traced graphs (name -> ``torch.fx.GraphModule``) to one WebAssembly module.

    fused=True adds products without rounding them first (in matrix products and the series of exp, tanh, ...),
    where the machine can, and writes those series and each product's sizes in place: faster, larger, and it
    needs relaxed SIMD, which a reader's browser may lack. The module then has its memory itself and exports it
    as "m". Results differ from those of fused=False by rounding.
    Raises ValueError naming an operator or dtype outside the supported set.
    """
    from nde_lab.lowering.decompose import build_program
    from nde_lab.lowering.emit import pages, webassembly
    programs, blocks, memory = {}, {}, Memory()
    for name, graph in graphs.items():
        programs[name] = build_program(graph)
        blocks[name] = schedule(programs[name])
    constants: dict = {}
    for name, program in programs.items():
        for *_, buffer in [*program.inputs, *program.outputs]:
            memory.keep(buffer)
        for buffer in _constants(blocks[name]):
            key = buffer.values.tobytes(), str(buffer.values.dtype)
            if key in constants:                            # equal constants share one place
                memory.at[buffer] = memory.at[constants[key]]
            else:
                constants[key] = buffer
                memory.keep(buffer)
    memory.plan(list(blocks.values()))
    wasm, first = webassembly(blocks, memory, fused)
    place = lambda n, shape, d, b: Place(n, tuple(shape), DTYPE_NAMES[d], memory.at[b], b.size)   # noqa: E731
    return Assembled(
        wasm, pages(memory),
        [*([(0, first)] if first else []), *((memory.at[b], b.values.tobytes()) for b in constants.values())],
        {name: {kind: [place(*item) for item in getattr(p, kind)] for kind in ("inputs", "outputs")}
         for name, p in programs.items()}, blocks, memory)


def package(graphs: dict, *, plain: bool = True) -> Lowered:
    """See ``nde_lab.lowering.lower``."""
    from nde_lab.lowering.plain import plain_source
    made = assemble(graphs)
    text = plain_source(made.blocks, made.memory) if plain else "null"
    spec = {
        "pages": made.pages,
        "programs": {name: {kind: [[p.name, p.offset, p.size, p.dtype] for p in places]
                            for kind, places in program.items()} for name, program in made.programs.items()},
        "constants": [[offset, base64.b64encode(values).decode()] for offset, values in made.constants],
        "wasm": base64.b64encode(made.wasm).decode(),
    }
    runtime = _strip((resources.files(__package__) / "runtime.js").read_text())
    spec_text = json.dumps(spec, separators=(",", ":"))
    source = f"(()=>{{const spec={spec_text};const plain={text};return {runtime}}})()"
    manifest = {"programs": {name: {kind: [{"name": p.name, "shape": list(p.shape), "dtype": p.dtype}
                                           for p in places] for kind, places in program.items()}
                             for name, program in made.programs.items()},
                "bytes": {"wasm": len(made.wasm), "plain": len(text), "memory": 4 * made.memory.top}}
    return Lowered(source, manifest)


def _constants(block: list[list]) -> list:
    from nde_lab.lowering.plan import lifetimes
    return [b for b in lifetimes(block) if b.kind == "const"]


def _strip(text: str) -> str:
    """The runtime without comments and indentation."""
    lines = (line.split("  // ")[0].strip() for line in text.splitlines() if not line.startswith("//"))
    kept = [line for line in lines if line and not line.startswith("//")]
    return "\n".join(line[:line.index(" // ")] if " // " in line else line for line in kept)
