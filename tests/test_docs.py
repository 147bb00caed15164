"""README.md and the pages in docs/ show the real output of their commands."""

from __future__ import annotations

import doctest
import json
import re
import runpy
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tools import MLPERF_TINY, ROOT, needs_mlperf_tiny, on_qemu, on_qemu_boards

import tvmtiny
from tvmtiny import errors
from tvmtiny.cli.main import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE

_DOCS = runpy.run_path(str(ROOT / "scripts" / "docs.py"))
PAGES = _DOCS["pages"]()
#: The figures in the pages come from this compiler.
COMPILER_VERSION = "12.2"


def pages_with(text: str) -> list[Path]:
    return [page for page in PAGES if text in page.read_text(encoding="utf-8")]


def each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


def figures_removed(text: str) -> str:
    return re.sub(r" +", " ", re.sub(r"[\d,]*\d", "0", text))


def same_compiler() -> bool:
    compiler = shutil.which("arm-none-eabi-gcc")
    assert compiler is not None
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True).stdout
    return version.startswith(COMPILER_VERSION)


@on_qemu
@each(pages_with("```console"))
def test_console_blocks(page: Path, warm_programs: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if _DOCS["missing"](text):
        pytest.skip(f"not installed: {', '.join(_DOCS['missing'](text))}")
    try:
        actual = _DOCS["filled"](text, warm_programs)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd}: exit code {error.returncode}\n{error.stdout}{error.stderr}")
    if not same_compiler():
        text, actual = figures_removed(text), figures_removed(actual)
    assert text == actual, "run scripts/docs.py"


@on_qemu
@each(pages_with(">>> "))
def test_python_session(page: Path) -> None:
    missing = _DOCS["missing"](page.read_text(encoding="utf-8"))
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
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


@each(pages_with("<!-- options -->"))
def test_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == _DOCS["with_options"](text), "run scripts/docs.py"


def test_every_page_is_in_the_index_and_on_the_site() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    _, _, nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    pages = sorted({page.name for page in PAGES} - {"README.md"})
    assert sorted(set(re.findall(r"\]\(([\w-]+\.md)\)", index))) == pages
    assert sorted(re.findall(r"([\w-]+\.md)$", nav, re.MULTILINE)) == ["README.md", *pages]


@pytest.mark.skipif(
    find_spec("mkdocs") is None or find_spec("mkdocstrings_handlers") is None,
    reason="not installed: the extra docs (mkdocs-material, mkdocstrings)",
)
def test_the_site(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        # Links may lead elsewhere; the parts of a page itself may not.
        loaded = re.findall(
            r"<(?:script|img|iframe|link)[^>]*(?:src|href)=\"(https?://[^\"]*)", page.read_text()
        )
        assert loaded == [], page.name


def test_the_api_page_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = [name.rpartition(".")[2] for name in re.findall(r"^::: tvmtiny\.(\S+)$", page, re.M)]
    assert sorted(shown) == sorted(tvmtiny.__all__)


def test_the_drawing_of_the_floors() -> None:
    floors = runpy.run_path(str(ROOT / "scripts" / "floors.py"))
    layers = runpy.run_path(str(ROOT / "tests" / "test_layers.py"))
    stored = floors["DRAWING"].read_text(encoding="utf-8")
    assert stored == floors["drawing"](layers["FLOORS"]), "run scripts/floors.py"


def test_every_error_is_explained() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+?) \| (.+) \|$", page, re.MULTILINE)
    told = {name: (int(code), meaning) for name, code, meaning, _ in rows}
    assert all(remedy for *_, remedy in rows)
    classes = [getattr(errors, name) for name in errors.__all__]
    tree = {c.__name__: c for c in classes if issubclass(c, errors.TvmtinyError)}
    assert set(told) == set(tree)
    for name, cls in tree.items():
        assert told[name] == (cls.exit_code, (cls.__doc__ or "").split("\n")[0]), name
    for code in (EXIT_USAGE, EXIT_INTERNAL, EXIT_INTERRUPTED, 128 + signal.SIGTERM):
        assert f"{int(code)}" in page.rpartition("Beside these")[2]


FIGURES = runpy.run_path(str(ROOT / "scripts" / "figures.py"))


@pytest.mark.parametrize("board", FIGURES["BOARDS"])
def test_tables_of_figures(board: str) -> None:
    for page in FIGURES["PAGES"]:
        text = page.read_text(encoding="utf-8")
        stored = FIGURES["stored"](board)
        assert text == FIGURES["with_figures"](text, board, stored), "run scripts/figures.py"


@needs_mlperf_tiny
@on_qemu_boards(*FIGURES["BOARDS"])
def test_figures(board: str) -> None:
    stored, actual = FIGURES["stored"](board), FIGURES["measure"](MLPERF_TINY, board)
    if not same_compiler():
        stored, actual = (figures_removed(json.dumps(x)) for x in (stored, actual))
    assert stored == actual, "run scripts/figures.py FOLDER"
