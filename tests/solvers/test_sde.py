import pytest
import torch

from nde_lab.solvers import SDE, Brownian, Grid, as_sde, sdeint

F64 = torch.float64
PATH = Brownian.draw(Grid(0.0, 1.0, 20), (4, 2), seed=0, dtype=F64)
Y0 = torch.linspace(0.1, 0.8, 8, dtype=F64).reshape(4, 2)


class Words:
    noise_type, sde_type = "diagonal", "ito"

    def drift(self, t, y):
        return -y * t

    def diffusion(self, t, y):
        return torch.cos(y)


class Letters(Words):
    f, g = Words.drift, Words.diffusion


class Joint:
    noise_type, sde_type = "diagonal", "ito"

    def f_and_g(self, t, y):
        return -y * t, torch.cos(y)


class Renamed:
    noise_type, sde_type = "diagonal", "ito"

    def pull(self, t, y):
        return -y * t

    def shake(self, t, y):
        return torch.cos(y)

    def f(self, t, y):
        return 100 * y


def solve(sde, **options):
    return sdeint(sde, Y0, [0.0, 0.5, 1.0], PATH, "euler", dt=0.05, **options)


@pytest.mark.parametrize("sde, names", [
    (Letters(), None), (Joint(), None), (as_sde(Words()), None),
    (Renamed(), {"drift": "pull", "diffusion": "shake"}),
    (SDE(lambda t, y: -y * t, lambda t, y: torch.cos(y)), None),
])
def test_one_sde_in_many_words(sde, names):
    assert torch.equal(solve(sde, names=names), solve(Words()))


def test_noise_types_of_one_process_agree():
    one = lambda t, y: (y[:, :1] + 1).expand(-1, 2)  # noqa: E731, both coordinates alike
    path = Brownian.draw(Grid(0.0, 1.0, 20), (4, 1), seed=0, dtype=F64)

    def run(g, kind):
        return sdeint(SDE(lambda t, y: -y, g, kind), Y0, [0.0, 1.0], path, "euler", dt=0.05)
    scalar = run(lambda t, y: one(t, y).unsqueeze(-1), "scalar")
    assert torch.equal(scalar, run(lambda t, y: one(t, y).unsqueeze(-1), "general"))
    twice = torch.cat([path.increments, path.increments], -1)
    assert torch.equal(scalar, sdeint(SDE(lambda t, y: -y, one), Y0, [0.0, 1.0], twice, "euler", dt=0.05))


class Bare:
    f = g = staticmethod(lambda t, y: y)


class NoDiffusion:
    noise_type, sde_type = "diagonal", "ito"
    f = staticmethod(lambda t, y: y)
    g_prod = staticmethod(lambda t, y, v: y)


@pytest.mark.parametrize("make, sentence", [
    (lambda: as_sde(Bare()),
     "Bare does not say its noise_type; set the attribute to one of diagonal, additive"),
    (lambda: SDE(None, None, "diag"), "noise_type must be one of .*got 'diag'"),
    (lambda: SDE(None, None, "diagonal", "itô"), "sde_type must be one of ito, stratonovich, got 'itô'"),
    (lambda: as_sde(NoDiffusion()),
     r"NoDiffusion has no diffusion: define g\(t, y\) or diffusion\(t, y\).*g_prod"),
    (lambda: as_sde(Words(), {"drift": "nothing"}),
     "names asks for the method 'nothing', which Words does not have"),
    (lambda: as_sde(Words(), {"noise": "h"}), r"names may rename drift, .* got \['noise'\]"),
    (lambda: as_sde(Words(), {"prior_drift": "h"}), "names asks for the method 'h', which Words does not have"),
    (lambda: solve(SDE(lambda t, y: y[:, :1], lambda t, y: y)),
     r"the drift of a state of shape \(4, 2\).*got \(4, 1\)"),
    (lambda: solve(SDE(lambda t, y: y, lambda t, y: y.unsqueeze(-1))),
     "diagonal noise must have the state's shape"),
    (lambda: solve(SDE(lambda t, y: y, lambda t, y: y, "general")),
     r"must have shape \(4, 2, m\), got \(4, 2\)"),
    (lambda: solve(SDE(lambda t, y: y, lambda t, y: torch.diag_embed(y), "scalar")),
     "scalar noise is one Brownian motion.*noise_type='general'"),
])
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
