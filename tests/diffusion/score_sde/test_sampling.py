"""Samplers: each step against its formula, silence in the last step, and what the exact score gives."""
import pytest
import torch

from nde_lab.autodiff import trace
from nde_lab.diffusion.score_sde import (
    VE,
    VP,
    Mixture,
    SubVP,
    dsm_loss,
    euler_sample,
    langevin_correct,
    predictor_corrector,
)
from nde_lab.random import Normal, sample

T64 = torch.float64
RING = Mixture.ring()
name = lambda p: type(p).__name__  # noqa: E731


def normals(n, rows, d=2, seed=0):
    made = sample({"x": Normal((rows, d)), "z": Normal((n, rows, d)), "c": Normal((n, rows, d))}, seed=seed,
                  stream="start", dtype=T64)
    return made["x"], made["z"], made["c"]


@pytest.mark.parametrize("process", [VE(high=10.0), VP(), SubVP()], ids=name)
@pytest.mark.parametrize("noise", [0.0, 0.6, 1.0])
def test_euler_steps_written_out(process, noise):
    x, z, _ = normals(3, 4)
    times, score, y = process.times(3, 0.01), RING.score(process), x
    for k in range(3):
        h, at = times[k] - times[k + 1], process.coefficients(times[k])
        y = y - (at.rate * y - (1 + noise**2) / 2 * at.g2 * score(times[k], y)) * h
        y = y + noise * (at.g2 * h).sqrt() * z[k] if k < 2 else y               # the last step is silent
    assert torch.allclose(euler_sample(process, score, x, times, z, noise=noise), y, rtol=1e-8, atol=1e-8)


def test_the_vp_predictor_is_the_reverse_diffusion_of_the_paper():
    """x = (2 - sqrt(1 - beta)) x + beta score + sqrt(beta) z, the paper's reverse diffusion for VP."""
    process = VP()
    x, z, _ = normals(2, 4)
    times, score, y = process.times(2, 0.95), RING.score(process), x
    for k in range(2):
        beta = process.beta(times[k]) * (times[k] - times[k + 1])
        y = (2 - (1 - beta).sqrt()) * y + beta * score(times[k], y) + (beta.sqrt() * z[k] if k == 0 else 0)
    assert torch.allclose(predictor_corrector(process, score, x, times, z), y, rtol=1e-10)


def test_the_ve_predictor_climbs_the_ladder_of_noise_levels():
    """x + (sigma_i^2 - sigma_{i-1}^2) score + sqrt(sigma_i^2 - sigma_{i-1}^2) z, algorithm 2 of the paper."""
    process = VE(low=0.1, high=8.0)
    x, z, _ = normals(2, 4)
    times, score, y = process.times(2, 0.5), RING.score(process), x
    levels = 0.1 * 80.0**times
    for k in range(2):
        step = levels[k]**2 - levels[k + 1]**2
        y = y + step * score(times[k], y) + (step.sqrt() * z[k] if k == 0 else 0)
    assert torch.allclose(predictor_corrector(process, score, x, times, z), y, rtol=1e-10)


def test_the_last_noise_is_never_heard():
    process = VP()
    x, z, c = normals(5, 4)
    loud_z, loud_c = z.clone(), c.clone()
    loud_z[-1], loud_c[-1] = 100.0, 100.0
    args = (process, RING.score(process), x, process.times(5))
    assert torch.equal(euler_sample(*args, z), euler_sample(*args, loud_z))
    assert torch.equal(predictor_corrector(*args, z, c), predictor_corrector(*args, loud_z, loud_c))
    loud_c[3] = 100.0                             # (at times near 1 these long steps have alpha = 0)
    assert not torch.equal(predictor_corrector(*args, z, c), predictor_corrector(*args, z, loud_c))


def test_the_corrector_step_and_its_size():
    process, t = VP(), torch.tensor(0.5, dtype=T64)
    x, z, _ = normals(1, 50)
    score = RING.score(process)(t, x)
    size = 2 * (1 - process.beta(t) * 0.01) * (0.2 * z[0].norm(dim=1).mean() / score.norm(dim=1).mean())**2
    made = langevin_correct(process, RING.score(process), t, 0.01, x, z[0], snr=0.2)
    assert torch.allclose(made, x + size * score + (2 * size).sqrt() * z[0])
    assert torch.equal(langevin_correct(process, RING.score(process), t, 0.01, x, z[0], snr=0.0), x)


def test_correctors_alone_reach_the_law_of_a_time():
    """Langevin steps at one time turn any start into a sample of p_t: here N(0, v) from N(0, 4 v)."""
    process, t = VE(high=10.0), torch.tensor(0.5, dtype=T64)
    data = Mixture.of([0.0], 0.5)
    v = 0.25 + process.std(t)**2
    x, z, _ = normals(120, 4000, 1)
    x = 2 * v.sqrt() * x
    for k in range(120):
        x = langevin_correct(process, data.score(process), t, 0.01, x, z[k], snr=0.16)
    assert x.var().item() == pytest.approx(v.item(), rel=0.08)


@pytest.mark.parametrize("process", [VE(high=10.0), VP(), SubVP()], ids=name)
def test_predictor_and_corrector_give_the_mixture(process):
    x, z, c = normals(150, 1500)
    out = predictor_corrector(process, RING.score(process), process.prior_std * x, process.times(150), z, c)
    k, off = RING.nearest(out)
    assert (off.norm(dim=1) < 0.6).double().mean() > 0.95
    assert off.std().item() == pytest.approx(0.2, rel=0.06)
    assert all((k == i).double().mean().item() == pytest.approx(0.2, abs=0.05) for i in range(5))


@pytest.mark.parametrize("noise", [0.0, 0.6, 1.0])
def test_the_euler_predictor_alone_is_the_euler_sampler(noise):
    x, z, _ = normals(6, 4)
    args = (SubVP(), RING.score(SubVP()), x, SubVP().times(6, 0.01), z)
    assert torch.allclose(predictor_corrector(*args, predictor="euler", noise=noise),
                          euler_sample(*args, noise=noise), rtol=1e-9)


@pytest.mark.parametrize("predictor", ["euler", "reverse diffusion"])
def test_times_that_repeat_do_nothing(predictor):
    x, z, c = normals(7, 4)
    times = VP().times(4, 0.1)
    args, padded = (VP(), RING.score(VP()), x), torch.cat([times, times[-1:].expand(3)])
    heard = (torch.arange(7) < 3).double()[:, None, None]
    long = predictor_corrector(*args, padded, heard * z, heard * c, predictor=predictor)
    assert torch.allclose(long, predictor_corrector(*args, times, z[:4], c[:4], predictor=predictor), rtol=1e-9)


def test_a_noise_level_for_each_row():
    x, z, _ = normals(5, 4)
    level = torch.tensor([[0.0], [0.3], [0.7], [1.0]], dtype=T64)
    args = (VP(), RING.score(VP()), x, VP().times(5), z)
    mixed = euler_sample(*args, noise=level)
    alone = [euler_sample(*args, noise=v.item())[i] for i, v in enumerate(level)]
    assert torch.allclose(mixed, torch.stack(alone), rtol=1e-9)


@pytest.mark.slow
def test_samplers_and_loss_are_traceable():
    process, times = VP(), VP().times(3).float()

    def run(arrays, live):
        mixture = Mixture(arrays["means"], arrays["stds"], arrays["weights"])
        score, x = mixture.score(process), arrays["x"]
        t = torch.full_like(x[:, :1], 0.5)
        return (euler_sample(process, score, x, arrays["times"], arrays["z"], noise=live["noise"]),
                predictor_corrector(process, score, x, arrays["times"], arrays["z"], arrays["c"],
                                    snr=live["snr"]),
                dsm_loss(score, process, x, t, arrays["z"][0], weight="likelihood"))
    x, z, c = (v.float() for v in normals(3, 4))
    arrays = {"means": RING.means.float(), "stds": RING.stds.float(), "weights": RING.weights.float(),
              "x": x, "z": z, "c": c, "times": times}
    graph = trace(run, (arrays, {"noise": torch.tensor(0.5), "snr": torch.tensor(0.1)}))      # compares too
    assert not any("float64" in str(n.meta.get("val", "")) for n in graph.graph.nodes)


def test_noise_of_another_shape_is_refused():
    x, z, _ = normals(3, 4)
    with pytest.raises(ValueError, match="3 steps from x of shape \\(4, 2\\) need z of shape \\(3, 4, 2\\)"):
        euler_sample(VP(), None, x, VP().times(3), z[:2])
    with pytest.raises(ValueError, match="need z_correct of shape"):
        predictor_corrector(VP(), None, x, VP().times(3), z, z[:2])
    with pytest.raises(ValueError, match="predictor must be one of reverse diffusion, euler, got 'heun'"):
        predictor_corrector(VP(), None, x, VP().times(3), z, predictor="heun")
    with pytest.raises(ValueError, match="1-d tensor of at least two"):
        euler_sample(VP(), None, x, VP().times(3)[:1], z)
