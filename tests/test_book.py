"""The book builds from what is in the repository, complete, light and without a foreign address."""
from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from bookbuild import ROOT, build, pages

VENDOR = ROOT / "book" / "_static" / "vendor"
CHAPTER_BYTES = 1_500_000


class Page(HTMLParser):
    """Addresses that a browser fetches by itself, links, images, ids and the text between."""

    def __init__(self, text: str):
        super().__init__()
        self.fetched, self.links, self.images, self.ids = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if attrs.get("id"):
            self.ids.add(attrs["id"])
        if tag in ("script", "img", "iframe", "source", "audio", "video", "embed") and attrs.get("src"):
            self.fetched.append(attrs["src"])
        if tag == "link" and attrs.get("href") and attrs.get("rel") in ("stylesheet", "preload", "icon", "shortcut icon"):
            self.fetched.append(attrs["href"])
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)


@pytest.fixture(scope="module")
def parsed() -> dict:
    return {path: Page(path.read_text(encoding="utf-8")) for path in pages()}


@pytest.mark.slow
def test_it_builds_without_a_warning():
    made = build()
    assert made.code == 0, made.output[-4000:]


def test_every_chapter_is_in_the_book_and_on_its_home_page():
    home = (build().folder / "book" / "index.html").read_text(encoding="utf-8")
    chapters = [p for p in ROOT.glob("notebooks/**/*.md") if "_build" not in p.parts]
    assert chapters
    for path in chapters:
        name = path.relative_to(ROOT).with_suffix(".html").as_posix()
        assert (build().folder / name).is_file(), name
        assert f'href="../{name}"' in home, name


def test_the_home_page_has_a_live_figure_and_the_two_commands():
    home = (build().folder / "book" / "index.html").read_text(encoding="utf-8")
    assert 'class="ndl-embed"' in home
    text = re.sub(r"<[^>]+>", "", home)
    assert "python3 start.py lab" in text and "python3 start.py test" in text
    assert (build().folder / "index.html").is_file()


def test_nothing_is_fetched_from_elsewhere(parsed):
    for path, page in parsed.items():
        for address in page.fetched:
            assert not urlsplit(address).scheme or address.startswith("data:"), f"{path.name} fetches {address}"
            if not address.startswith("data:"):
                target = (path.parent / unquote(urlsplit(address).path)).resolve()
                assert target.is_file(), f"{path.name} fetches {address}, which is not there"


def test_links_inside_the_book_lead_somewhere(parsed):
    ids = {path: page.ids for path, page in parsed.items()}
    for path, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name in ("genindex.html", "search.html"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name}: {link}"
            if parts.fragment and target in ids and not parts.fragment.startswith("ndl="):
                assert unquote(parts.fragment) in ids[target], f"{path.name}: {link}"


def test_every_picture_has_text_in_its_place(parsed):
    for path, page in parsed.items():
        for image in page.images:
            if "logo" not in image.get("class", ""):
                assert len(image.get("alt") or "") > 20, f"{path.name}: {image.get('src', '')[:60]}"


def test_a_chapter_page_stays_light():
    for path in pages():
        if path.relative_to(build().folder).parts[0] == "notebooks":
            extra = sum(f.stat().st_size for f in _own_images(path))
            assert path.stat().st_size + extra < CHAPTER_BYTES, f"{path.name}: {path.stat().st_size + extra:,} bytes"


def _own_images(path):
    found = (path.parent / unquote(urlsplit(i.get("src", "")).path) for i in Page(path.read_text(encoding="utf-8")).images
             if not i.get("src", "").startswith("data:"))
    return [p for p in found if p.is_file()]


def test_machine_paths_do_not_leak(parsed):
    for path in parsed:
        assert str(ROOT) not in path.read_text(encoding="utf-8"), path.name


def test_the_vendored_files_are_the_ones_that_were_taken():
    for line in (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split()
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    listed = {line.split()[1] for line in (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines()}
    origin = json.loads((VENDOR / "package.json").read_text(encoding="utf-8"))
    assert set(origin["files"]) == listed == {p.name for p in VENDOR.iterdir()} - {"SHA256SUMS", "package.json"}
    assert all("resolved" not in str(v) and "://" not in str(v) for v in origin.values())


def test_the_glossary_has_every_abbreviation_of_the_chapters():
    words = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    text = "\n".join(p.read_text(encoding="utf-8") for p in ROOT.glob("notebooks/**/*.md"))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for name in sorted(set(re.findall(r"\b[A-Z]{0,3}(?:SDE|ODE)\b", prose))):
        assert name in words, f"{name} is used in a chapter and not in the glossary"


def test_every_page_names_its_icon():
    """Without one a browser asks the host's root for /favicon.ico, which is nobody's file on a shared host."""
    assert [p.name for p in pages() if 'rel="icon"' not in p.read_text(encoding="utf-8")] == []
