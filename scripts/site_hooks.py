"""Hooks of mkdocs.yml: what differs between a page in the repository and on the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

#: A link that leaves docs/, as it is right in the repository.
_OUTSIDE = re.compile(r"\]\(\.\./([^)\s]+)\)")
#: A link whose text is the name of a page.
_PAGE = re.compile(r"\[([\w-]+\.md)\]\(\1")
#: A block that names the file that it is.
_NAMED = re.compile(r"^```(\w+) ([\w./-]+)$", re.MULTILINE)


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Link files outside of docs/ at the repository, and show titles of pages and blocks."""

    def titled(link: re.Match[str]) -> str:
        page = Path(config.docs_dir, link[1])
        title = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        return f"[{title[1] if title else link[1]}]({link[1]}"

    markdown = _OUTSIDE.sub(rf"]({config.extra['source']}/blob/main/\1)", markdown)
    markdown = _PAGE.sub(titled, markdown)
    return _NAMED.sub(r'```\1 title="\2"', markdown)
