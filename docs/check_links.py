"""Check that all links of a built site lead somewhere and that it loads nothing from others.

``python docs/check_links.py docs/_build/html`` needs no network.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser loads by itself; other links to elsewhere are for the reader to follow.
_LOADED = {"script", "link", "img", "source", "iframe", "video", "audio"}
_IN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)")


class Page(HTMLParser):
    """Anchors and links of one HTML file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names and where it points."""
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if found.get("rel") in ("canonical", "license"):
            return
        self.links += [(tag, found[name]) for name in ("href", "src") if name in found]
        for part in found.get("srcset", "").split(","):
            self.links += [(tag, part.split()[0])] if part.strip() else []


def faults(root: Path) -> Iterator[str]:
    """Yield a line for every bad link: page, link, and what is wrong."""
    root = root.resolve()
    files = (path for path in sorted(root.rglob("*.html")) if "_static" not in path.parts)
    pages = {path: Page(path) for path in files}
    links = [(path, tag, link) for path, page in pages.items() for tag, link in page.links]
    for path in sorted(root.rglob("*.css")):
        styles = _IN_STYLE.findall(path.read_text(encoding="utf-8"))
        links += [(path, "link", link) for link in styles]
    for path, tag, link in links:
        if fault := _fault(path, tag, link, root, pages):
            yield f"{path.relative_to(root)}: {link}: {fault}"


def _fault(path: Path, tag: str, link: str, root: Path, pages: dict[Path, Page]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme == "file":
        return "a path of one machine"
    if parts.scheme == "data" or (parts.scheme and tag not in _LOADED):
        return None
    if parts.netloc:
        return "is loaded from elsewhere" if tag in _LOADED else None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.is_relative_to(root) or not target.exists():
        return "no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "no such place on that page"
    return None


if __name__ == "__main__":
    site = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/_build/html")
    count = sum(1 for _ in site.rglob("*.html"))
    found = list(faults(site)) if count else [f"{site}: no pages"]
    print(*found, f"{len(found)} faults in {count} pages", sep="\n")
    sys.exit(bool(found))
