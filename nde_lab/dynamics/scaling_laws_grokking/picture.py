"""The stored phase diagram as a picture for a notebook, with its alternative text."""
from __future__ import annotations

import io

from nde_lab.dynamics.scaling_laws_grokking.phase import phase_view, stored_frame
from nde_lab.views import still


class Picture:
    """PNG with alternative text; in a terminal, the text."""

    def __init__(self, view, frame, *, width: float = 6.5, dpi: int = 110):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        figure, out = still(view, frame, width=width), io.BytesIO()
        FigureCanvasAgg(figure)
        figure.savefig(out, format="png", dpi=dpi)
        self.png, self.alt = out.getvalue(), view.alt()

    def _repr_mimebundle_(self, include=None, exclude=None):
        import base64
        data = {"image/png": base64.b64encode(self.png).decode("ascii"), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}

    def __repr__(self) -> str:
        return self.alt


def phase_diagram() -> Picture | str:
    """The picture of the stored diagram; a sentence that says how to make it, if it was never computed."""
    try:
        return Picture(phase_view(), stored_frame())
    except ValueError as missing:
        return str(missing)
