"""The live demo: two potentials, with and without the residual, and the exact laws of their samplers."""
from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from nde_lab.diffusion.ode_sde_gap import laws
from nde_lab.diffusion.ode_sde_gap import training as tr
from nde_lab.diffusion.ode_sde_gap.potential import Potential
from nde_lab.diffusion.ode_sde_gap.process import OU, Mixture, levels, prior_quantiles
from nde_lab.diffusion.ode_sde_gap.residual import residual_1d
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.views import Axis, Line, Panel, View

UPDATES, ROUNDS = 25, 40          # Adam updates per step, steps per run
QUANTILES, CELLS, REACH = 200, 128, 3.5
ODE_STEPS, SDE_STEPS = 10, 64        # W2^2 to laws solved with ten times as many steps: 1e-9, 2e-5
NAMES = ("plain", "penalised")


@experiment(paper="ode-sde-gap")
@dataclass(frozen=True)
class SamplerGap:
    """Train log p networks on three Gaussians by denoising; the second also pays w_R for its residual.

    Both start equal and see the same draws. One step is 25 Adam updates of both, then the exact laws of the ODE
    and of the SDE sampler of each. Distances are W2^2 of laws on the line; "data" is the data's law at the time
    where the samplers stop (t = 0.01), which the exact score would reach.
    """
    width: int = knob(32, choices=(16, 32), label="width", help="units of each of the two hidden layers")
    live = {"weight": Knob(1.0, low=1e-3, high=10.0, scale="log", label="w_R",
                           help="weight of the squared Fokker-Planck residual"),
            "lr": Knob(3e-3, low=3e-4, high=1e-2, scale="log", label="learning rate")}
    plan = Plan(ROUNDS, advice="lower the learning rate or w_R")
    ou, mixture = OU(), Mixture()

    @functools.cached_property
    def net(self) -> Potential:
        return Potential(self.width)

    def data(self):
        x, u, end = laws.cells(-REACH, REACH, CELLS), levels(QUANTILES), self.ou.end
        return {"x": x, "u": u.float(), "prior": prior_quantiles(QUANTILES, torch.float32),
                "ode_times": self.ou.grid(ODE_STEPS), "sde_times": self.ou.grid(SDE_STEPS),
                "truth": torch.exp(self.mixture.log_density(x, torch.tensor(end))),
                "truth_q": self.mixture.quantiles(u, end).float(),
                "box": torch.linspace(-tr.BOX, tr.BOX, 64), "clock": self.ou.clock(torch.linspace(0, 1, 24))}

    def draws(self):
        return Draws(start=self.net.draws, step=tr.batch_draws(self.mixture, UPDATES))

    def _laws(self, data, params):
        """Quantiles of the ODE's law (2, 200) and density of the SDE's (2, 128), of both models."""
        prior = data["prior"].expand(2, QUANTILES)
        return {"ode": laws.ode_law(lambda x, t: self.net.score(params, x, t), prior, data["ode_times"]),
                "sde": laws.sde_law(lambda x, t: self.net.value(params, x, t), data["x"], data["sde_times"])}

    def init(self, data, start, live):
        state = tr.start_state(self.net, start, 2)
        return state | self._laws(data, state)

    def step(self, data, state, noise, live):
        weights = torch.stack([torch.zeros_like(live["weight"]), live["weight"]])
        trained = {n: v for n, v in state.items() if n not in ("ode", "sde")}
        new, means = tr.updates(self.net, self.ou, self.mixture, trained, noise, weights=weights, lr=live["lr"],
                                total=UPDATES * ROUNDS)
        made = self._laws(data, new)
        q = laws.quantiles(made["sde"], data["x"], data["u"])
        distances = {"gap": laws.w2_squared(made["ode"], q),
                     "ode_data": laws.w2_squared(made["ode"], data["truth_q"]),
                     "sde_data": laws.w2_squared(q, data["truth_q"])}
        info = {f"{name}_{which}": value[i] for name, value in (distances | means).items()
                for i, which in enumerate(NAMES)}
        finite = torch.isfinite(made["ode"]).all(-1) & torch.isfinite(made["sde"]).all(-1)
        return new | made, info | {"updates": new["adam.count"], "ok": finite}

    def observe(self, data, state, noise, live):
        place, dense = laws.spacing_density(state["ode"])
        box, clock = data["box"], data["clock"]
        x, t = box.repeat(len(clock)), clock.repeat_interleave(len(box))
        jet = self.net.jet(self.net_params(state), x, t)
        rest = residual_1d(x, jet.rate, jet.slope, jet.bend).reshape(2, len(clock), len(box))
        rms = rest.square().mean(-1).sqrt()
        shown = {"x": data["x"], "truth": data["truth"], "t": clock}
        for i, which in enumerate(NAMES):
            shown |= {f"sde_{which}": state["sde"][i], f"ode_x_{which}": place[i], f"ode_{which}": dense[i],
                      f"rms_{which}": rms[i]}
        return shown

    def net_params(self, state):
        """The networks' own entries of the state."""
        return {n: state[n] for n in self.net.shapes}

    def view(self):
        def both(which, title, says):
            return Panel(title, Axis("x", low=-2.5, high=2.5), Axis("density", low=0, high=0.9),
                         [Line("x", "truth", role="truth", label="data"),
                          Line(f"ode_x_{which}", f"ode_{which}", role="ode", label="ODE sampler"),
                          Line("x", f"sde_{which}", role="sde", label="SDE sampler")],
                         alt="Densities over x: the data's three equal humps at -1.2, 0 and 1.2, and the exact "
                             f"laws of the ODE and the SDE sampler. {says}")

        steps = Axis("Adam updates", low=0, high=UPDATES * ROUNDS)
        return View([
            both("plain", "Denoising alone (w_R = 0)",
                 "After training the SDE's law has low, smooth humps; the ODE's has narrow, uneven ones."),
            both("penalised", "With the residual's weight w_R",
                 "The two laws merge as w_R grows, and flatten; at w_R = 10 one broad hump is left."),
            Panel("Distance of the two samplers' laws", steps,
                  Axis("W₂²(ODE, SDE)", scale="log", low=1e-5, high=1),
                  [Line("history.updates", "history.gap_plain", role="neutral", label="w_R = 0"),
                   Line("history.updates", "history.gap_penalised", role="accent", label="with w_R")],
                  alt="Squared Wasserstein distance of the ODE's and the SDE's law against Adam updates, log "
                      "axis. Both fall; with a weight of 1 the distance ends more than ten times lower, with "
                      "small weights less."),
            Panel("Fokker-Planck residual at the time t", Axis("time t of the forward process", scale="log",
                                                               low=1e-2, high=3),
                  Axis("rms of R, |x| ≤ 2.5", scale="log", low=1e-2, high=1e2),
                  [Line("t", "rms_plain", role="neutral", label="w_R = 0"),
                   Line("t", "rms_penalised", role="accent", label="with w_R")],
                  alt="Root mean square of the residual over x in [-2.5, 2.5] against the time t, log axes. "
                      "Without the penalty it is large near the data, t close to 0; with it, lower.")])
