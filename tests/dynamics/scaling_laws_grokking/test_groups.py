"""Groups obey their laws, and modes are what representation theory says they are."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.dynamics.scaling_laws_grokking.construct import characters, written_down
from nde_lab.dynamics.scaling_laws_grokking.groups import Group, group, modes

parts = st.sampled_from(["Z2", "Z3", "Z4", "Z5", "D3", "D4", "S3", "Q8"])
names = st.one_of(parts, st.tuples(parts, parts).map("x".join), st.integers(2, 40).map("Z{}".format),
                  st.integers(1, 12).map(lambda n: f"D{max(n, 2)}"), st.just("S4"))


@settings(max_examples=25, deadline=None)
@given(name=names, data=st.data())
def test_group_laws(name, data):
    G = group(name)
    a, b, c = (data.draw(st.integers(0, G.M - 1)) for _ in range(3))
    t = G.table
    assert t[t[a, b], c] == t[a, t[b, c]]
    assert t[a, 0] == t[0, a] == a and t[a, G.inverse[a]] == t[G.inverse[a], a] == 0
    assert sorted(np.concatenate(G.classes)) == list(range(G.M)) and list(G.classes[0]) == [0]


@settings(max_examples=25, deadline=None)
@given(name=names)
def test_modes_are_orthonormal_complete_and_stay_in_place_under_translation(name):
    G, made = group(name), modes(name)
    assert np.allclose(made.basis.T @ made.basis, np.eye(G.M), atol=1e-9)
    u = np.random.default_rng(0).normal(size=G.M)
    assert made.power(u).sum() == pytest.approx(u @ u)
    for g in (1, G.M - 1):
        for moved in (u[G.table[g]], u[G.table[:, g]]):
            assert np.allclose(made.power(moved), made.power(u), atol=1e-8)
    sizes = np.bincount(made.of)
    weight = {"real": 1, "complex": 2, "quaternionic": 1}
    assert all(size == weight[kind] * d * d for size, d, kind in zip(sizes, made.degree, made.kind, strict=True))
    assert made.power(np.ones(G.M))[0] == pytest.approx(G.M)


@settings(max_examples=15, deadline=None)
@given(name=names)
def test_one_mode_per_class_of_an_element_and_its_inverse(name):
    """Real irreducible components and classes closed under inversion are equal in number (a theorem)."""
    assert len(modes(name)) == len(group(name).classes)


@pytest.mark.parametrize("M", [5, 8, 23])
def test_the_modes_of_addition_are_the_frequencies(M):
    u = np.random.default_rng(M).normal(size=M)
    hat = np.abs(np.fft.fft(u)) ** 2 / M
    expected = [hat[0]] + [hat[k] + (hat[M - k] if 2 * k != M else 0) for k in range(1, M // 2 + 1)]
    assert np.allclose(modes(f"Z{M}").power(u), expected)


def test_known_groups():
    assert sorted(modes("S4").degree) == [1, 1, 2, 3, 3] and set(modes("S4").kind) == {"real"}
    assert modes("Q8").kind.count("quaternionic") == 1 and not group("Q8").abelian
    assert modes("D5").degree.count(2) == 2 and group("Z4xZ6").abelian
    assert modes("Z3").kind == ("real", "complex")
    i, j, k, minus = 2, 4, 6, 1
    t = group("Q8").table
    assert t[i, i] == t[j, j] == t[k, k] == minus and t[i, j] == k and t[j, i] == t[minus, k]
    assert (group("S3").table[1:3, 3] != group("S3").table[3, 1:3]).any()


@settings(max_examples=15, deadline=None)
@given(name=st.lists(st.sampled_from(["Z2", "Z3", "Z4", "Z5"]), min_size=1, max_size=3).map("x".join))
def test_characters_multiply_and_the_written_network_is_exact(name):
    G, c = group(name), characters(group(name))
    assert np.allclose(c[:, :, None] * c[:, None, :], c[:, G.table])
    assert np.allclose(c @ c.conj().T, G.M * np.eye(G.M), atol=1e-9)
    W, V = written_down(name)
    z = W[:G.M][:, None] + W[G.M:][None]
    assert W.shape[1] == 2 * G.M - 2
    assert np.allclose(z**2 @ V, np.eye(G.M)[G.table] - 1 / G.M, atol=1e-10)


@pytest.mark.parametrize(("table", "says"), [
    ([[0, 1, 2], [1, 0, 2], [2, 1, 0]], "once in each row and column"),
    ([[1, 0], [0, 1]], "must be the identity"),
    ([[0, 1], [1, 2]], "whole numbers from 0 to 1"),
    ([[0, 1, 2]], "square"),
    # A Latin square with an identity that is not associative (order 5).
    ([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]], "not associative")])
def test_what_is_no_group_is_refused_with_the_broken_law(table, says):
    with pytest.raises(ValueError, match=says):
        Group("G", np.array(table))


@pytest.mark.parametrize("name", ["", "Z", "Z0", "Z1", "A5", "Z5xx", "z7", "Z-3"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="unknown group"):
        group(name)


@pytest.mark.parametrize("name", ["Z151", "S6", "Z12xZ13", "S999"])
def test_large_groups_are_refused(name):
    with pytest.raises(ValueError, match="more than 150 elements"):
        group(name)


def test_characters_of_other_groups_are_refused():
    with pytest.raises(ValueError, match="products of cyclic groups"):
        characters(group("D3"))
