"""compile(): torch's results, the same pytrees, refusals by name, threads, and the two caches."""
import json
import subprocess
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab import native
from nde_lab.autodiff import loop, value_and_grad
from nde_lab.native import compiler, store
from nde_lab.solvers import Brownian, Grid, integrate

g = torch.Generator().manual_seed(1)
F = torch.nn.functional


def close(got, expected, tol=2e-6):
    torch.testing.assert_close(got, expected, rtol=tol, atol=tol)


OPERATORS = {
    "elementwise": lambda x, y: (x.tanh() * y.exp() - (x * x + 1).log()).sigmoid().sin(),
    "products": lambda x, y: (x @ y.T, x.T @ y, (x @ y.T)[0] @ (x @ y.T)[1]),
    "reductions": lambda x, y: {"sum": x.sum(0), "mean": y.mean(), "max": x.amax(1), "var": y.var(0),
                                "arg": x.argmax(1)},
    "views": lambda x, y: [x[1:, ::2].T.reshape(-1), torch.cat([x, y], 1), x.flip(0), torch.stack([x, y])],
    "masks": lambda x, y: (x > y, torch.where(x > y, x, y), (x > 0) & (y > 0), (x > y).sum()),
    "layers": lambda x, y: (F.layer_norm(x, (6,)), F.gelu(y), F.softmax(x, 1), F.cross_entropy(y, x.argmax(1))),
    "powers": lambda x, y: (x.abs() + 0.1) ** 1.7 + 0.9 ** y,
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    f, args = OPERATORS[name], (torch.randn(7, 6, generator=g), torch.randn(7, 6, generator=g))
    fast = native.compile(f, args)
    for _ in range(2):
        close(fast(*args), f(*args))
        args = (torch.randn(7, 6, generator=g), torch.randn(7, 6, generator=g))


@settings(max_examples=25)
@given(st.integers(1, 21), st.integers(1, 19), st.integers(1, 27), st.booleans(), st.booleans())
def test_products_of_all_sizes(m, k, n, left, right):
    """Whole tiles, their remainders, transposed factors; what lies beside the result stays as it is."""
    a = torch.randn(k, m, generator=g) if left else torch.randn(m, k, generator=g)
    b = torch.randn(k, n, generator=g)
    b = b.T.contiguous() if right else b

    def f(a, b):
        return (a.T if left else a) @ (b.T if right else b), a + 1, b + 1
    got, expected = native.compile(f, (a, b), check=False, disk=False)(a, b), f(a.double(), b.double())
    close(got[0].double(), expected[0], 1e-5)
    assert torch.equal(got[1], a + 1) and torch.equal(got[2], b + 1)


def test_a_loop_with_its_gradient():
    def f(p, x, rows):
        def loss(q):
            last, seen = loop(lambda h, r: (torch.tanh(h @ q["w"] + r), h.sum()), x, rows)
            return last.square().mean() + seen.mean()
        return value_and_grad(loss, p)
    args = ({"w": torch.randn(5, 5, generator=g)}, torch.randn(9, 5, generator=g),
            torch.randn(12, 5, generator=g))
    value, grads = native.compile(f, args)(*args)
    expected, wanted = f(*args)
    close(value, expected)
    close(grads["w"], wanted["w"], 1e-5)


class Small:
    """dy = tanh(y w) dt + sigmoid(y v) dW."""
    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, p):
        self.p = p

    def f(self, t, y):
        return torch.tanh(y @ self.p["w"])

    def g(self, t, y):
        return torch.sigmoid(y @ self.p["v"])


def test_the_documented_example_a_solve_of_the_users_own():
    """A terminal loss through an Euler-Maruyama solve, and its gradient, on plain user functions."""
    grid = Grid(0.0, 1.0, 32)
    params = {n: torch.randn(3, 3, generator=g) for n in "wv"}
    y0, dW = torch.randn(16, 3, generator=g), Brownian.draw(grid, (16, 3), seed=0).increments

    def loss_and_gradient(params, y0, dW):
        def loss(p):
            return integrate(Small(p), y0, grid, dW, method="euler", save="last").square().mean()
        return value_and_grad(loss, params)

    fast = native.compile(loss_and_gradient, (params, y0, dW))
    for seed in (0, 1):
        dW = Brownian.draw(grid, (16, 3), seed=seed).increments
        (value, grads), (expected, wanted) = fast(params, y0, dW), loss_and_gradient(params, y0, dW)
        close(value, expected, 1e-5)
        for n in "wv":
            close(grads[n], wanted[n], 1e-5)
    assert torch.equal(fast(params, y0, dW)[0], value)                       # the same bits each time


def test_arguments_come_by_name_and_results_keep_their_dtypes():
    def f(a, n):
        return {"x": a["p"] - a["q"], "pair": (n + 1, n > 2)}
    a, n = {"p": torch.tensor([3.0, 4.0]), "q": torch.tensor([1.0, 1.0])}, torch.tensor([1, 2, 3])
    out = native.compile(f, (a, n))({"q": a["q"], "p": a["p"]}, n)
    assert out["x"].tolist() == [2.0, 3.0] and out["pair"][0].dtype == torch.int64
    assert out["pair"][0].tolist() == [2, 3, 4] and out["pair"][1].tolist() == [False, False, True]


def test_results_do_not_share_memory_with_the_program():
    fast = native.compile(lambda x: (x + 1, x), (torch.zeros(3),))
    first, same = fast(torch.zeros(3))
    fast(torch.ones(3))
    assert first.tolist() == [1, 1, 1] and same.tolist() == [0, 0, 0]


def test_constants_are_seen_again_when_they_change():
    x = torch.zeros(4)
    fast = native.compile(lambda data, y: data.sum() + y, (x, torch.zeros(())), constant=[0])
    assert fast(x, torch.tensor(1.0)) == 1
    x += 1                                                                   # in place: torch counts versions
    assert fast(x, torch.tensor(1.0)) == 5 and fast(torch.full((4,), 2.0), torch.tensor(0.0)) == 8
    with pytest.raises(ValueError, match="positions of arguments, 0 to 1; got 2"):
        native.compile(lambda data, y: data + y, (x, x), constant=[2])


@pytest.mark.parametrize(("f", "args", "words"), [
    (lambda x: x.sort()[0], (torch.randn(4),), r"no operator aten\.sort\.default"),
    (lambda x: torch.linalg.svd(x)[1], (torch.randn(3, 3),), r"no operator aten\._linalg_svd\.default"),
    (lambda x: x + 1, (torch.zeros(2, dtype=torch.float64),), "int32 and bool; a tensor of torch.float64"),
    (lambda x: x + torch.randn(2), (torch.zeros(2),), r"aten\.randn.* draws random numbers"),
    (lambda x: x if x.sum() > 0 else -x, (torch.zeros(2),), "decides in Python on the value of a tensor"),
    (lambda x: x, (3.0,), "found float; wrap numbers with torch.tensor"),
])
def test_refusals_name_what_they_refuse(f, args, words):
    with pytest.raises(ValueError, match=words):
        native.compile(f, args)


def test_wrong_calls_are_refused():
    n = torch.zeros(3, dtype=torch.int64)
    fast = native.compile(lambda p, n: p["a"] * 2 + n, ({"a": torch.zeros(3)}, n))
    with pytest.raises(ValueError, match=r"p/a of shape \(3,\), got \(4,\); compile again"):
        fast({"a": torch.zeros(4)}, n)
    with pytest.raises(ValueError, match="p/a of float32, got torch.float64"):
        fast({"a": torch.zeros(3, dtype=torch.float64)}, n)
    with pytest.raises(ValueError, match="the keys a at .*, got the keys b"):
        fast({"b": torch.zeros(3)}, n)
    with pytest.raises(ValueError, match="tuple of 2 at the arguments, got tuple of 1"):
        fast({"a": torch.zeros(3)})
    with pytest.raises(ValueError, match="a tensor at .*, got float"):
        fast({"a": 1.0}, n)
    with pytest.raises(ValueError, match="requires a gradient, and native programs record none"):
        fast({"a": torch.zeros(3, requires_grad=True)}, n)
    with pytest.raises(ValueError, match="have 32 bits; n holds a larger one"):
        fast({"a": torch.zeros(3)}, n + 2**31)


def test_threads_share_a_program():
    """Each thread gets the result of its own argument, whoever else is running."""
    def f(x):
        return loop(lambda h, r: (torch.tanh(h @ h.T / 8 + r), None), x, torch.ones(50))[0]
    fast = native.compile(f, (torch.zeros(8, 8),))
    inputs = [torch.randn(8, 8, generator=g) for _ in range(4)]
    expected, wrong = [fast(x) for x in inputs], []

    def work(i):
        for _ in range(60):
            if not torch.equal(fast(inputs[i]), expected[i]):
                wrong.append(i)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and 1 <= len(fast.machine._idle) <= 4


def test_equal_graphs_are_compiled_once_and_others_are_not():
    def make(scale):
        return lambda x: loop(lambda h, r: (h * scale + r, h), x, torch.ones(3))[0]
    x = torch.ones(2)
    one, same, other = (native.compile(make(s), (x,)) for s in (2.0, 2.0, 3.0))
    assert one.machine is same.machine and one.machine is not other.machine
    assert native.compile(make(2.0), (torch.ones(3),)).machine is not one.machine
    assert one(x).tolist() == [15, 15] and other(x).tolist() == [40, 40]
    baked = torch.tensor([1.0, 2.0])
    first = native.compile(lambda x: x + baked, (x,))
    baked = torch.tensor([1.0, 3.0])
    assert native.compile(lambda x: x + baked, (x,))(x).tolist() == [2, 4] and first(x).tolist() == [2, 3]


def test_the_disk_keeps_modules(monkeypatch, tmp_path):
    monkeypatch.setenv("NDE_LAB_CACHE", str(tmp_path))
    f = lambda x: (x * 3).sum(), (torch.ones(5),)                            # noqa: E731
    native.compile(*f)
    files = list((tmp_path / "native").iterdir())
    assert len(files) == 1 and files[0].suffix == ".json"
    compiler.clear()
    monkeypatch.setattr("nde_lab.lowering.assemble", lambda graphs: pytest.fail("lowered again"))
    assert native.compile(*f)(torch.ones(5)) == 15
    monkeypatch.undo()
    monkeypatch.setenv("NDE_LAB_CACHE", str(tmp_path))
    compiler.clear()
    files[0].write_text(files[0].read_text(encoding="utf-8")[:100], encoding="utf-8")     # a damaged file
    assert native.compile(*f)(torch.ones(5)) == 15
    assert json.loads(files[0].read_text(encoding="utf-8"))["pages"] >= 1


def test_the_disk_forgets_the_oldest(monkeypatch, tmp_path):
    monkeypatch.setenv("NDE_LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "KEEP", 3)
    for i in range(5):
        store.save_refusal(f"key {i}", "no")
    assert len(list((tmp_path / "native").iterdir())) == 3
    assert store.load("key 4") == "no" and store.load("never") is None


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("NDE_LAB_CACHE", str(tmp_path / "file"))
    compiler.clear()
    assert native.compile(lambda x: x - 7, (torch.ones(2),))(torch.ones(2)).tolist() == [-6, -6]


def test_importing_costs_nothing():
    code = ("import sys, nde_lab.native, nde_lab.experiment; "
            "print(sorted({'wasmtime', 'torch._dynamo', 'nde_lab.lowering'} & set(sys.modules)))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]", out.stdout
