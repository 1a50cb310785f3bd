import pytest
import torch
from solvers.sde_truths import F64

from nde_lab.autodiff import trace, value_and_grad
from nde_lab.solvers import SDE, Brownian, Grid, finite_rows, integrate, sdeint

GRID = Grid(0.0, 1.0, 8)
PATH = Brownian.draw(GRID, (5, 3), seed=0, dtype=F64)
Y0 = torch.linspace(-1, 1, 15, dtype=F64).reshape(5, 3)
CASES = [("ito", "euler"), ("ito", "milstein"), ("ito", "tamed_euler"), ("stratonovich", "milstein"),
         ("stratonovich", "heun"), ("ito", "srk"), ("stratonovich", "midpoint"),
         ("stratonovich", "reversible_heun")]


def noise_for(method, path=PATH):
    return (path.increments, path.areas) if method == "srk" else path.increments


def make(params, kind):
    return SDE(lambda t, y: torch.tanh(y @ params["w"]) * torch.cos(t),
               lambda t, y: params["s"] * torch.sin(y), "diagonal", kind)


PARAMS = {"w": torch.tensor([[0.5, -1.0, 0.2], [0.3, 0.8, -0.6], [1.1, 0.1, 0.4]], dtype=F64),
          "s": torch.tensor([0.3, 0.6, 0.9], dtype=F64)}


@pytest.mark.parametrize("kind, method", CASES)
def test_the_bare_loop_gives_what_sdeint_gives(kind, method):
    sde = make(PARAMS, kind)
    dW = noise_for(method)
    ys = integrate(sde, Y0, GRID, dW, method=method)
    assert torch.equal(ys, sdeint(sde, Y0, GRID.times, PATH, method, dt=0.125))
    assert torch.equal(integrate(sde, Y0, GRID, dW, method=method, save="last"), ys[-1])
    assert torch.equal(integrate(sde, Y0, GRID, dW, method=method, save=(0, 3, 8)), ys[[0, 3, 8]])
    given = integrate(sde, Y0, GRID.tensor(F64), dW, method=method)
    assert torch.allclose(given, ys, rtol=1e-12)


def test_uneven_times():
    grid = Grid.covering([0.0, 1.0], 0.3)
    path = Brownian.draw(grid, (5, 3), seed=1, dtype=F64)
    sde = make(PARAMS, "ito")
    known = sdeint(sde, Y0, grid.times, path, "euler", dt=0.3)
    assert torch.allclose(integrate(sde, Y0, grid, path.increments), known, rtol=1e-12)
    assert torch.allclose(integrate(sde, Y0, grid.tensor(F64), path.increments), known, rtol=1e-12)


@pytest.mark.parametrize("kind, method", CASES)
def test_a_traced_gradient_step_is_the_eager_one(kind, method):
    def step(params, noise):
        def loss(p):
            dW = noise["z"] * GRID.dt ** 0.5                     # declared standard normals, scaled
            dW = (dW, noise["z"].flip(0) * (GRID.dt / 12) ** 0.5) if method == "srk" else dW
            y = integrate(make(p, kind), noise["y0"], GRID, dW, method=method, save="last")
            return (y**2).mean(), finite_rows(y)
        (value, ok), grads = value_and_grad(loss, params, has_aux=True)
        return {"loss": value, "ok": ok} | grads

    z = PATH.increments / GRID.dt ** 0.5
    traced = trace(step, ({k: v.clone() for k, v in PARAMS.items()}, {"z": z.clone(), "y0": Y0.clone()}))
    assert len(traced.graph.nodes) < 100                         # recorded once, not eight times
    # On other values than those it was recorded with.
    params, noise = {k: 0.7 * v for k, v in PARAMS.items()}, {"z": z.flip(0), "y0": Y0 + 0.1}
    eager = step(params, noise)
    out = traced(params["w"], params["s"], noise["z"], noise["y0"])
    for name, value in zip(traced.meta["outputs"], out, strict=True):
        known = eager[name.split("/")[-1]].double()
        assert torch.allclose(value.double(), known, rtol=1e-10, atol=1e-13), name
    # Batched, as a sweep does it: two cells with their own parameters on one path.
    cells = {k: torch.stack([v, 0.7 * v]) for k, v in PARAMS.items()}
    both = torch.vmap(traced, in_dims=(0, 0, None, None))(cells["w"], cells["s"], noise["z"], noise["y0"])
    for alone, batched in zip(out, both, strict=True):
        assert torch.allclose(batched[1].double(), alone.double(), rtol=1e-10, atol=1e-13)


def test_rows_that_fail_are_told_apart():
    cubic = SDE(lambda t, y: -y**3, lambda t, y: torch.zeros_like(y))
    y0 = torch.tensor([[0.1], [1e3], [0.5]])
    ys = integrate(cubic, y0, Grid(0.0, 20.0, 40), torch.zeros(40, 3, 1))
    assert finite_rows(ys).tolist() == [True, False, True] == finite_rows(ys[-1]).tolist()
    assert ys[:, [0, 2]].isfinite().all()


@pytest.mark.parametrize("change, sentence", [
    ({"increments": torch.zeros(7, 5, 3, dtype=F64)},
     r"8 steps of diagonal noise from y0 of shape \(5, 3\) need increments of "
     r"shape \(8, 5, 3\), got \(7, 5, 3\)"),
    ({"increments": torch.zeros(8, 5, 1, dtype=F64)}, r"got \(8, 5, 1\)"),
    ({"grid": 8}, "grid must be a Grid or a 1-d tensor of at least two times, got 8"),
    ({"grid": torch.zeros(3, 2)}, r"got \(3, 2\)"),
    ({"save": "first"}, "save must be 'all', 'last' or a sequence of grid indices, got 'first'"),
    ({"save": [9]}, "grid indices from 0 to 8"),
    ({"save": []}, "holds no grid index"),
    ({"method": "heun"}, "converges to the Stratonovich solution"),
    ({"method": "srk"}, "'srk' needs a pair .increments, areas.*variance dt / 12"),
    ({"method": "srk", "increments": (PATH.increments, PATH.areas[:7])}, r"need increments of shape \(8, 5, "
                                                                         r"3\), got"),
    ({"increments": (PATH.increments, PATH.areas)}, "'euler' takes the increments as one tensor .*only 'srk'"),
])
def test_refusals(change, sentence):
    call = {"sde": make(PARAMS, "ito"), "y0": Y0, "grid": GRID, "increments": PATH.increments} | change
    with pytest.raises(ValueError, match=sentence):
        integrate(**call)


def test_sdeint_in_a_traced_step_is_refused_and_named():
    with pytest.raises(ValueError, match="cannot stand in a traced function; there call nde_lab.*integrate"):
        trace(lambda y0: sdeint(make(PARAMS, "ito"), y0, [0.0, 1.0], PATH, dt=0.125)[-1], (Y0.clone(),))
