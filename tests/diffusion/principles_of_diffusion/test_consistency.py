"""One-step maps: the boundary condition, the teacher's step, and what is lost without the anchor."""
import pytest
import torch

from nde_lab import optimizers
from nde_lab.autodiff import value_and_grad
from nde_lab.diffusion.principles_of_diffusion import Consistency, StepsRace, along_flow
from nde_lab.diffusion.principles_of_diffusion.consistency import CLOCK, END
from nde_lab.diffusion.principles_of_diffusion.steps_race import race
from nde_lab.diffusion.principles_of_diffusion.table import RingStudy, in_mode
from nde_lab.diffusion.score_sde import Mixture
from nde_lab.experiment import Run
from nde_lab.random import Normal, Sampler, sample
from nde_lab.solvers import integrate_ode

T64 = torch.float64
RING = Mixture.ring()


def normal(*shape, seed=0):
    return sample({"x": Normal(shape)}, seed=seed, stream="s", dtype=T64)["x"]


def test_the_boundary_condition_holds_whatever_the_network_says():
    x = normal(20, 2)
    t = torch.full((20, 1), END, dtype=T64)
    assert torch.allclose(Consistency(spread=1.4)(lambda i: 1e3 * i[:, :2], t, x), x)
    assert not torch.allclose(Consistency(spread=1.4, boundary=False)(lambda i: i[:, :2], t, x), x)


def test_a_silent_network_is_the_right_map_to_first_order_for_one_normal():
    """skip(t) x shrinks x towards the data; the exact map of N(0, spread^2), spread / sqrt(spread^2 + s^2) x,
    shrinks it less, so a network has to learn the rest."""
    x, t = torch.ones(1, 1, dtype=T64), torch.full((1, 1), 1.0, dtype=T64)
    model = Consistency(spread=1.0)
    skip = model(lambda i: 0 * i[:, :1], t, x).item()
    assert 0 < skip < 1 / (1 + CLOCK.std(1.0).item()**2)**0.5


def test_the_exact_map_has_no_loss():
    """For data N(0, spread^2) the map is known; in the network's place it leaves the teacher's error alone."""
    spread, data = 0.5, Mixture.of([0.0], 0.5)
    model = Consistency(spread=spread, boundary=False)
    times = model.times(18)[:, None]
    t, r = times[:-1], times[1:]
    x = CLOCK.std(t) * normal(18, 1)
    x_r = along_flow(data.score(CLOCK), CLOCK, t, r, x)
    low = (spread**2 + CLOCK.std(END)**2)**0.5

    def exact(inputs):                      # the inputs are 4 x / size and log s
        return low * inputs[:, :1] / 4

    assert model.loss(exact, exact, t, r, x, x_r) < 1e-5
    assert model.loss(lambda i: 1.1 * exact(i), exact, t, r, x, x_r) > 1e-4


@pytest.mark.parametrize("t", [0.4, 0.7, 1.0])
def test_the_teacher_follows_the_flow(t):
    """A step of the figure's size in lambda, and two short ones, whose errors fall like the cube."""
    clock = torch.full((50, 1), t, dtype=T64)
    x = CLOCK.noised(clock, normal(50, 2, seed=1), normal(50, 2))
    off = []
    for drop in (0.4, 0.1, 0.05):
        r = CLOCK.time_at(CLOCK.half_log_snr(clock) + drop)
        exact = integrate_ode(CLOCK.flow(RING.score(CLOCK)), x, torch.linspace(t, r[0, 0], 200, dtype=T64),
                              method="rk4", save="last")
        off.append((along_flow(RING.score(CLOCK), CLOCK, clock, r, x) - exact).square().mean().sqrt().item())
    assert off[0] < 0.05 and off[2] < off[1] / 6


def test_the_race_ends_at_ddim_and_the_hierarchy_with_turns_to_spare():
    """n of many turns are n turns: later ones stand still."""
    x, z, n = CLOCK.prior_std * normal(50, 2), normal(40, 50, 2, seed=2), torch.tensor(10.0, dtype=T64)
    long = race(CLOCK, RING.score(CLOCK), x, n, END, z)
    short = race(CLOCK, RING.score(CLOCK), x, n, END, z[:10])
    for a, b in zip(long, short, strict=True):
        assert torch.allclose(a, b, atol=1e-9)
    assert not torch.allclose(*long)


def test_more_steps_bring_both_samplers_into_the_modes():
    x, z = CLOCK.prior_std * normal(400, 2), normal(100, 400, 2, seed=2)
    for k in (0, 1):
        inside = [in_mode(race(CLOCK, RING.score(CLOCK), x, torch.tensor(n, dtype=T64), END, z)[k].float())
                  for n in (1.0, 4.0, 100.0)]
        assert inside[0] < 0.05 < 0.4 < inside[1] < inside[2] and inside[2] > 0.95


def test_the_map_learns_and_without_its_anchor_is_a_constant():
    run = Run(StepsRace, seed=0)
    before = spread_and_share(run)
    for _ in range(200):
        run.step()
    after = spread_and_share(run)
    assert after[1] > before[1] + 0.15
    run = Run(StepsRace, {"boundary": "none"}, seed=0)
    for _ in range(200):
        run.step()
    assert spread_and_share(run)[0] < 0.02 < 0.1 < before[0]


def spread_and_share(run):
    arrays = run.frame().arrays
    x = torch.stack([torch.as_tensor(arrays[f"map_{c}"]) for c in "xy"], -1)
    return x.std(0).max().item(), in_mode(x)


def test_a_held_target_without_an_anchor_is_chased_without_end():
    """The loss of the figure's network grows a hundredfold in 150 steps."""
    e, model, ring = StepsRace(), Consistency(spread=1.4, boundary=False), Mixture.ring(dtype=torch.float32)
    times, noises = e.data()["times"], Sampler(e.draws().step, seed=0, stream="step")
    params = e.net.params(Run(e, seed=0).state)
    state, losses = optimizers.adam_state(params), []
    for k in range(150):
        noise, held = noises.at(k), params
        t, r = times[noise["k"]][:, None], times[noise["k"] + 1][:, None]
        x = CLOCK.noised(t, ring.draw(noise["u"], noise["w"]), noise["z"])
        x_r = along_flow(ring.score(CLOCK), CLOCK, t, r, x)

        def loss(p, *pair, held=held):
            return model.loss(lambda i: e.net.apply(p, i), lambda i: e.net.apply(held, i), *pair)
        found, grads = value_and_grad(lambda p, pair=(t, r, x, x_r): loss(p, *pair), params)
        params, state = optimizers.adam(params, grads, state, lr=1e-2)
        losses.append(found.item())
    assert losses[-1] > 100 * losses[0]


def test_the_study_is_the_briefs_network():
    assert [tuple(d.shape) for n, d in RingStudy().net.draws.items() if n.endswith("weight")] == [
        (128, 3), (128, 128), (2, 128)]
