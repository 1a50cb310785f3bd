"""The reference: every module of a part is on its page, and a docstring arrives as it was written."""
import docutils.core
import pytest

from nde_lab import claims
from nde_lab.explore.page import api


def plain(text: str) -> str:
    lines = text.splitlines()
    api.plain(None, "function", "name", None, None, lines)
    return "\n".join(lines)


def rendered(text: str) -> str:
    """As HTML; a complaint of docutils is an error."""
    return docutils.core.publish_parts(plain(text), writer="html", settings_overrides={"halt_level": 2, "report_level": 2})["body"]


@pytest.mark.parametrize("text, seen", [
    ("Use ``a * b`` for z*w|x| and x_ and *args.", "z*w|x| and x_ and *args."),
    ("dz = f dt: the `drift`s of a.", 'literal">drift</tt>s of a'),
    ("shape (..., B, d) -> (B,) \\ end: `` x `` {a: b}", "(..., B, d)"),
    ("One.\n\n    code(1)\n    more(2)\n\nTwo.", "more(2)\n</pre>"),
    ("First.\n\nvalues   (N, L), of *any*\n         length\nlabels   (N,)\n", "<li>"),
])
def test_a_docstring_is_shown_as_it_is_written(text, seen):
    made = rendered(text).replace("&gt;", ">")
    assert seen in made and "problematic" not in made and "<em>" not in made


def test_columns_become_a_list_and_running_text_does_not():
    assert plain("values   one\n  goes on\nlabels   two") == "* \\ ``values``\\ \\: one goes on\n* \\ ``labels``\\ \\: two\n"
    assert plain("A sentence.  Another  one\nwith wide gaps.").startswith("A sentence.")


def test_the_pages_have_every_module_of_their_part():
    described = {name for part in ("sdes", "odes", "diffusion", "dynamics", "bridges") for name in api.modules(part)}
    assert {c.function.__module__ for c in claims.claims()} <= described, "a claim links to its code in the reference"
    assert "nde_lab.solvers.dense" in api.modules("ground") and "nde_lab.explore.page.api" in api.modules("explore")
    with pytest.raises(ValueError, match="there is no module 'nde_lab.nothing'"):
        api.modules("nothing")


def test_every_part_has_its_page():
    from nde_lab.explore.page.executions import ROOT
    pages = {p.stem.removeprefix("api_") for p in (ROOT / "book").glob("api_*.md")}
    parts = {p for p in claims.PARTS if (ROOT / "nde_lab" / p).is_dir() and api.modules(p)}
    assert parts | {"ground", "explore"} == pages
    for part in pages:
        assert f"{{nde-api}} {part}\n" in (ROOT / "book" / f"api_{part}.md").read_text(encoding="utf-8")
