"""Access to the C files and templates in ``tvmtiny/runtime``."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jinja2

from tvmtiny.resources import shipped

__all__ = ["c_files", "render", "render_file"]


def c_files(*folders: str | Path) -> dict[str, str]:
    """Read the C files and headers of some folders, by file name.

    Parameters
    ----------
    folders
        Names within ``tvmtiny/runtime``, or paths; subfolders are not included.
    """
    return {
        path.name: path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted((shipped("runtime") / folder).iterdir())
        if path.suffix in (".c", ".h")
    }


def render(name: str, /, **values: Any) -> str:
    """Render the template of that name in ``tvmtiny/runtime``."""
    return render_file(shipped("runtime") / name, **values)


def render_file(path: Path, /, **values: Any) -> str:
    """Render a template, which may extend templates in ``tvmtiny/runtime``."""
    return _template(path.read_text(encoding="utf-8")).render(**values)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped("runtime")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )


# Jinja compiles a template to Python, which takes longer than all of its renderings.
@lru_cache(maxsize=64)
def _template(text: str) -> jinja2.Template:
    return _environment().from_string(text)
