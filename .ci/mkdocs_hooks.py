"""What `make docs` does beside mkdocs: model cards become pages, links lead to them, nothing loads from the web."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

CHECKOUT = Path(__file__).resolve().parent.parent
CARDS = CHECKOUT / "src" / "mien" / "weights"
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FROM_THE_WEB = re.compile(
    r"""<(?:script|img|iframe)\b[^>]*\ssrc=["']?(?:https?:)?//|<link\b[^>]*\shref=["']?(?:https?:)?//"""
)


def on_files(files: Files, config: Any) -> Files:
    """README, changelog and the model cards are pages, too; the navigation does not list them."""
    outside = {f"cards/{card.name}": card for card in sorted(CARDS.glob("*.md"))}
    outside |= {f"about/{name}": CHECKOUT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")}
    for place, path in outside.items():
        file = File.generated(config, place, content=path.read_text(encoding="utf-8"))
        file.inclusion = file.inclusion.NOT_IN_NAV
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that lead out of docs/ in the checkout lead to those pages; files of code are named without a link."""
    up = "../" * page.file.src_uri.count("/")

    def lead(match: re.Match[str]) -> str:
        mark, words, target, anchor = match.group(1), match.group(2), match.group(3), match.group(4) or ""
        place = (folder_of(page.file.src_uri) / target).resolve()
        if re.match(r"[a-z]+:", target) or not place.is_relative_to(CHECKOUT):
            return match.group()
        path = place.relative_to(CHECKOUT)
        if path.parts[:1] == ("docs",):
            inside = path.relative_to("docs").as_posix()
        elif path.suffix == ".md" and path.parent == Path():
            inside = f"about/{path.name}"
        elif place.parent == CARDS:
            inside = f"cards/{path.name}"
        else:
            return words
        return f"{mark}[{words}]({up}{'index.md' if inside == '.' else inside}{anchor})"

    return LINK.sub(lead, markdown)


def folder_of(page: str) -> Path:
    """Where in the checkout the links of a page begin."""
    if page.startswith("cards/"):
        return CARDS
    return CHECKOUT if page.startswith("about/") else (CHECKOUT / "docs" / page).parent


def on_post_build(config: Any) -> None:
    """A page that loads a script, a font or a picture from the web is an error."""
    pages = sorted(Path(config["site_dir"]).rglob("*.html"))
    loading = [page.name for page in pages if FROM_THE_WEB.search(page.read_text(encoding="utf-8"))]
    if loading:
        raise PluginError(f"pages that load from the web: {', '.join(loading)}")
