"""Where it fails: with a loose tolerance the network learns the solver, and the fit is not the equation's."""
from __future__ import annotations

from dataclasses import dataclass, replace

from nde_lab.experiment import experiment
from nde_lab.knobs import Knob
from nde_lab.odes.opening_the_blackbox.shared import STEPS_AXIS
from nde_lab.odes.opening_the_blackbox.stretch import LAMBDA, SCALE, StretchMap, target
from nde_lab.solvers import integrate_ode
from nde_lab.views import Axis, Line, Panel, View


@experiment(paper="opening-the-blackbox-solver-heuristics")
@dataclass(frozen=True)
class HiddenError(StretchMap):
    """``StretchMap``, whose end points are also solved with 48 steps of RK4."""
    live = {"lam": LAMBDA, "scale": replace(SCALE, default=10.0), "lr": StretchMap.live["lr"],
            "rtol": Knob(1.0, low=1e-4, high=1.0, scale="log", label="tolerance",
                         help="rtol = atol of the solver")}

    def more(self, data, params, x, error, live):
        f = self.stack.field(params, live["scale"])
        end = integrate_ode(lambda t, y: f(t.expand(len(y), 1), y), self.stack.rows(x), data["ts"],
                            method="rk4", save="last")
        true = (end.reshape(2, -1) - target(x)[:, 0]).square().mean(1).sqrt()
        return {"true": true[0], "true_eased": true[1]}

    def view(self):
        def panel(title, ending, alt):
            return Panel(title, STEPS_AXIS, Axis("root mean square error", scale="log", low=0.03, high=5),
                         [Line("history.step", f"history.rmse{ending}", role="train",
                               label="as training sees it"),
                          Line("history.step", f"history.true{ending}", role="test", label="solved exactly")],
                          alt=alt)
        kept = super().view().panels
        return View([
            panel("Fit only", "", "Error of the end points over training: as the loose solver computes them, "
                                  "and "
                  "solved exactly. The first falls; at a loose tolerance the second stays far above it."),
            panel("With the penalty", "_eased", "The same two curves for the penalised network. At a loose "
                                                "tolerance "
                  "they part as well: the penalty is divided by the tolerance, so it has become too weak to "
                  "help."),
            *kept[:2]])
