"""``odeint_event`` beside torchdiffeq's."""
import pytest
import torch
import torchdiffeq

import nde_lab.solvers as ours
from nde_lab.solvers import SolverError, odeint_event


@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_events(interface, reverse, method):
    """A ball; its landing time and speed, and their gradients."""
    found = []
    for lib in (ours, torchdiffeq):
        g = torch.tensor(9.81, dtype=torch.float64, requires_grad=True)
        y0 = torch.tensor([10.0, 1.0], dtype=torch.float64, requires_grad=True)
        t0 = torch.zeros((), dtype=torch.float64, requires_grad=True)
        more = {"adjoint_params": (g,)} if interface == "odeint_adjoint" else {}
        if method == "rk4":
            more["options"] = {"step_size": 0.01, "interp": "cubic"}
        t, y = lib.odeint_event(lambda t, y, g=g: torch.stack([y[1], -g]), y0, t0, event_fn=lambda t, y: y[0],
                                reverse_time=reverse, odeint_interface=getattr(lib, interface), method=method,
                                rtol=1e-9, atol=1e-9, **more)
        assert y.shape == (2, 2)
        found.append((t.detach(), y.detach(), *torch.autograd.grad(t + y[1, 1], (y0, g, t0))))
    exact = (1 + (1 if not reverse else -1) * (1 + 2 * 9.81 * 10) ** 0.5) / 9.81
    assert found[0][0].item() == pytest.approx(exact, abs=1e-7)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_an_event_of_several_numbers_is_the_first_of_them():
    t, y = odeint_event(lambda t, y: torch.ones_like(y), torch.tensor([0.0, -5.0]).double(),
                        torch.zeros(()).double(), event_fn=lambda t, y: torch.stack([y[0] - 3, y[1] - 1]))
    assert t.item() == pytest.approx(3, abs=1e-6)
    with pytest.raises(SolverError, match="tried steps were spent"):
        odeint_event(lambda t, y: 0 * y, torch.ones(1), torch.zeros(()), event_fn=lambda t, y: y - 2,
                     method="dopri5", options={"max_num_steps": 30})
