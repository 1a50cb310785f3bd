"""Puts a lowered module together: decompose, build, plan, emit, and write the JavaScript around it."""
from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from importlib import resources

from nde_lab.lowering.ir import BOOL, FLOAT, INT
from nde_lab.lowering.plan import Memory, schedule

DTYPE_NAMES = {FLOAT: "float32", INT: "int32", BOOL: "bool"}


@dataclass(frozen=True)
class Lowered:
    """source: a JavaScript function expression; manifest: its programs, inputs and outputs (plain JSON)."""
    source: str
    manifest: dict


def package(graphs: dict, *, plain: bool = True) -> Lowered:
    """See ``nde_lab.lowering.lower``."""
    from nde_lab.lowering.decompose import build_program
    from nde_lab.lowering.emit import pages, webassembly
    from nde_lab.lowering.plain import plain_source
    programs, blocks, memory = {}, {}, Memory()
    for name, graph in graphs.items():
        programs[name] = build_program(graph)
        blocks[name] = schedule(programs[name])
    constants = {}
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
    wasm, first = webassembly(blocks, memory)
    text = plain_source(blocks, memory) if plain else "null"
    spec = {
        "pages": pages(memory),
        "programs": {name: {kind: [[n, memory.at[b], b.size, DTYPE_NAMES[d]] for n, _, d,
                                   b in getattr(p, kind)]
                            for kind in ("inputs", "outputs")} for name, p in programs.items()},
        "constants": [*([[0, base64.b64encode(first).decode()]] if first else []),
                      *([memory.at[b], base64.b64encode(b.values.tobytes()).decode()]
                        for b in constants.values())],
        "wasm": base64.b64encode(wasm).decode(),
    }
    runtime = _strip((resources.files(__package__) / "runtime.js").read_text())
    spec_text = json.dumps(spec, separators=(",", ":"))
    source = f"(()=>{{const spec={spec_text};const plain={text};return {runtime}}})()"
    manifest = {"programs": {name: {kind: [{"name": n, "shape": list(shape), "dtype": DTYPE_NAMES[d]}
                                           for n, shape, d, _ in getattr(p, kind)]
                                    for kind in ("inputs", "outputs")} for name, p in programs.items()},
                "bytes": {"wasm": len(wasm), "plain": len(text), "memory": 4 * memory.top}}
    return Lowered(source, manifest)


def _constants(block: list[list]) -> list:
    from nde_lab.lowering.plan import lifetimes
    return [b for b in lifetimes(block) if b.kind == "const"]


def _strip(text: str) -> str:
    """The runtime without comments and indentation."""
    lines = (line.split("  // ")[0].strip() for line in text.splitlines() if not line.startswith("//"))
    kept = [line for line in lines if line and not line.startswith("//")]
    return "\n".join(line[:line.index(" // ")] if " // " in line else line for line in kept)
