"""What README.md and the pages in docs/ show is what happens."""

from __future__ import annotations

import doctest
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
from tools import ROOT, on_qemu

_DOCS = runpy.run_path(str(ROOT / "scripts" / "docs.py"))
PAGES = _DOCS["pages"]()
#: The figures in the pages are those of this compiler.
COMPILER_VERSION = "12.2"


def pages_with(text: str) -> list[Path]:
    return [page for page in PAGES if text in page.read_text(encoding="utf-8")]


def each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


def figures_removed(text: str) -> str:
    return re.sub(r" +", " ", re.sub(r"[\d,]*\d", "0", text))


@on_qemu
@each(pages_with("```console"))
def test_console_blocks(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    try:
        actual = _DOCS["filled"](text)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd}: exit code {error.returncode}\n{error.stdout}{error.stderr}")
    compiler = shutil.which("arm-none-eabi-gcc")
    assert compiler is not None
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True).stdout
    if not version.startswith(COMPILER_VERSION):
        text, actual = figures_removed(text), figures_removed(actual)
    assert text == actual, "run scripts/docs.py"


@on_qemu
@each(pages_with(">>> "))
def test_python_session(page: Path) -> None:
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 0
    assert found.failed == 0


@each(PAGES)
def test_files_that_it_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    for name in links:
        if not name.startswith("https://"):
            assert (page.parent / name).exists(), name
    for name in re.findall(r"`((?:tvmtiny|scripts|tests|schedules|zephyr_app)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
