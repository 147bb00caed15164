"""What README.md shows is what happens."""

from __future__ import annotations

import doctest
import re
import runpy
import shutil
import subprocess

from tools import ROOT, on_qemu

README = ROOT / "README.md"
#: The figures in README.md are those of this compiler.
COMPILER_VERSION = "12.2"


def figures_removed(text: str) -> str:
    return re.sub(r" +", " ", re.sub(r"[\d,]*\d", "0", text))


@on_qemu
def test_console_blocks() -> None:
    text = README.read_text(encoding="utf-8")
    actual = runpy.run_path(str(ROOT / "scripts" / "readme.py"))["filled"](text)
    compiler = shutil.which("arm-none-eabi-gcc")
    assert compiler is not None
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True).stdout
    if not version.startswith(COMPILER_VERSION):
        text, actual = figures_removed(text), figures_removed(actual)
    assert text == actual, "run scripts/readme.py"


@on_qemu
def test_python_session() -> None:
    found = doctest.testfile(str(README), module_relative=False)
    assert found.attempted > 5
    assert found.failed == 0


def test_files_that_it_names_exist() -> None:
    text = README.read_text(encoding="utf-8")
    named = re.findall(r"\]\(([^)]+)\)|^    \./(\S+)|`(tvmtiny/\S+\.py)`", text, re.MULTILINE)
    assert len(named) >= 4
    for names in named:
        for name in filter(None, names):
            assert (ROOT / name).exists(), name
