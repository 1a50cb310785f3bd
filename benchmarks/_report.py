"""What ``side_by_side.py`` measured: as text, as a picture, as tables in Markdown for book/solvers.md."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks._cases import GRID, OURS, PROBLEMS, Case, sizes

# Names in the tables, and the order of the columns.
COLUMNS = {
    "sde": {"torchsde, best": "torchsde, at its best", "torchsde, as it comes": "torchsde, as it comes",
            "nde_lab native": "ours, native", "jax scan, by hand": "jax, by hand",
            "diffrax, UnsafeBrownianPath": "diffrax, unsafe path",
            "diffrax, VirtualBrownianTree": "diffrax, tree"},
    "rk4": {"nde_lab odeint": "our `odeint`", "torchdiffeq": "torchdiffeq", "nde_lab native": "ours, native",
            "jax scan, by hand": "jax, by hand"},
    "dopri5": {"nde_lab solve_ode, a clock per row": "our `solve_ode`", "torchdiffeq": "torchdiffeq",
               "torchode, a clock per row": "torchode", "diffrax": "diffrax"},
}
TITLES = {"sde": "Euler-Maruyama, a neural SDE; 1 is our `integrate`",
          "rk4": "Fourth-order Runge-Kutta on a grid; 1 is our `integrate_ode`",
          "dopri5": "`dopri5`, adaptive, tolerance 1e-5; 1 is our `odeint`"}


def as_text(rows: list[dict]) -> str:
    """For a terminal: every variant's milliseconds and its ratio to ours."""
    lines = []
    for row in rows:
        lines.append(f"\n{Case.of(row)}; {row['what']}")
        for name, ms in row["ms"].items():
            error = f"   ends {row['error'][name]:.1e} off" if "error" in row else ""
            lines.append(f"  {name:44s} {ms:9.2f} ms   {ms / row['ms'][OURS]:7.2f} x{error}")
        if row["products_ms"] is not None:
            lines.append(f"  {'(matrix products alone)':44s} {row['products_ms']:9.2f} ms   "
                         f"{row['products_ms'] / row['ms'][OURS]:7.2f} x")
        if row["missing"]:
            lines.append(f"  not here: {', '.join(row['missing'])} (pip install \"nde_lab[bench]\")")
    return "\n".join(lines)


def as_markdown(rows: list[dict]) -> str:
    """One table a problem: the middle case and both ends of every size; forward / with gradient, over ours."""
    found = {(Case.of(row), row["what"]): row for row in rows}
    return "\n\n".join(_table(kind, found) for kind in PROBLEMS if (Case(kind), "gradient") in found)


def _table(kind: str, found: dict) -> str:
    middle, columns = Case(kind), COLUMNS[kind]
    wanted = [("middle", middle)]
    for n, values in sizes(kind).items():
        wanted += [(f"{n} {v}", replace(middle, **{n: v})) for v in (values[0], values[-1])]
    products = kind != "dopri5"
    head = ["case", "ours, ms", *columns.values(), *(["products alone"] if products else [])]
    lines = [f"*{TITLES[kind]}*", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for label, case in wanted:
        pair = [found[case, what] for what in ("forward", "gradient")]
        cells = [label, " / ".join(f"{row['ms'][OURS]:.1f}" for row in pair)]
        cells += [" / ".join(_ratio(row["ms"].get(name), row) for row in pair) for name in columns]
        if products:
            cells.append(" / ".join(_ratio(row["products_ms"], row) for row in pair))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio(ms: float | None, row: dict) -> str:
    if ms is None:
        return "-"
    ratio = ms / row["ms"][OURS]
    return f"{ratio:.1f}" if ratio >= 9.95 else f"{ratio:.2f}"


def plot(rows: list[dict], file: Path) -> None:
    """Cost of a gradient against steps, batch and width, the SDE problem, beside the matrix products."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    middle = Case("sde")
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
    marks = dict(zip(dict.fromkeys(n for row in rows for n in row["ms"]), "os^Dv<>P*X", strict=False))
    for axis, size in zip(axes, ("steps", "batch", "width"), strict=True):
        line = [r for r in rows if r["what"] == "gradient"
                and replace(Case.of(r), **{size: getattr(middle, size)}) == middle]
        line.sort(key=lambda r: r[size])
        for name, mark in marks.items():
            points = [(r[size], r["ms"][name]) for r in line if name in r["ms"]]
            if points:
                axis.plot(*zip(*points, strict=True), marker=mark, label=name, linewidth=1.2, markersize=5)
        axis.plot([r[size] for r in line], [r["products_ms"] for r in line], "k:", label="products alone")
        axis.set(xscale="log", yscale="log", xlabel=f"{size} (log axis)", xticks=GRID[size])
        axis.set_xticks(GRID[size], [str(v) for v in GRID[size]])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("ms for one gradient (log axis)")
    axes[2].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.savefig(file, dpi=72, metadata={"Software": None}, pil_kwargs={"optimize": True})
    plt.close(figure)
