"""``tvmtiny report``: the page shows the JSON's figures, and a browser reports no error."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tools import on_qemu

from tvmtiny.errors import InputError
from tvmtiny.report.model_report import variants
from tvmtiny.targets import find_board

_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

#: Only the file: no updates, no first-run page, no sandbox of its own in a container.
_BROWSER_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=2000",
)


@dataclass
class _Page(HTMLParser):
    """Figures by their place in the JSON, that JSON, and the targets of links."""

    figures: dict[str, str] = field(default_factory=dict)
    data: str = ""
    links: list[str] = field(default_factory=list)
    _inside: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._inside = found.get("data-figure") or found.get("id")
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside == "report-data":
            self.data += data
        elif self._inside is not None:
            self.figures[self._inside] = data


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A page with two columns, and the output of ``--json``."""
    from typer.testing import CliRunner

    from tvmtiny.cli.main import app

    path = tmp_path_factory.mktemp("report") / "page.html"
    words = ["report", "digits", "-b", "mps2-an386", "-b", "mps3-an547", "-o", str(path), "--json"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return path, json.loads(done.stdout)


def _look_up(data: Any, path: str) -> Any:
    for part in path.split("."):
        if data is None:
            return None
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


def _compare(text: str, expected: dict[str, Any]) -> None:
    page = _Page()
    page.feed(text)
    assert page.data and json.loads(page.data) == expected
    assert len(page.figures) > 25
    for path, shown in page.figures.items():
        value = _look_up(expected, path)
        assert shown == ("-" if value is None else f"{value:,}"), path


@on_qemu
def test_page_shows_the_json(reported: tuple[Path, dict[str, Any]]) -> None:
    path, printed = reported
    assert printed.pop("page") == str(path)
    _compare(path.read_text(encoding="utf-8"), printed)
    assert [v["label"] for v in printed["variants"]] == ["mps2-an386", "mps3-an547"]
    assert printed["variants"][0]["profile"] is not None
    # Counted in QEMU's log of blocks, since Unicorn has no Helium.
    variant = printed["variants"][1]
    counted = variant["profile"]["total"]["instructions"]
    assert counted == pytest.approx(variant["run"]["instructions"], rel=1e-3)


@on_qemu
def test_page_needs_nothing_else(reported: tuple[Path, dict[str, Any]]) -> None:
    page = _Page()
    page.feed(reported[0].read_text(encoding="utf-8"))
    assert page.links == ["data:,"]


@on_qemu
def test_tables_for_screen_readers_and_dark_pages(reported: tuple[Path, dict[str, Any]]) -> None:
    text = reported[0].read_text(encoding="utf-8")
    heads = re.findall(r"<th\b[^>]*>", text)
    assert heads and all("scope=" in head for head in heads)
    assert text.count("<caption>") == text.count("<table>") == 5
    assert text.count('<tr class="own">') == 2
    # Once for the page, and once for each drawing of the arena.
    assert text.count("(prefers-color-scheme: dark)") == 3
    assert ">patches of" not in re.sub(r"<title>.*?</title>", "", text)


@on_qemu
@pytest.mark.skipif(_BROWSER is None, reason="not installed: chromium")
def test_page_in_a_browser(reported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path, printed = reported
    done = subprocess.run(
        [
            str(_BROWSER),
            *_BROWSER_FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    _compare(done.stdout, {key: value for key, value in printed.items() if key != "page"})


def test_more_than_two_columns_are_refused() -> None:
    boards = [find_board("mps2-an386"), find_board("mps2-an385")]
    with pytest.raises(InputError, match="at most 2"):
        variants(boards, ["speed", "size"], {})
