"""``tvmtiny doctor``: each finding names the missing part and the remedy."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tvmtiny.cli.main import app
from tvmtiny.report import doctor
from tvmtiny.report.doctor import Finding, Status, diagnose


def _by_name(environment: Mapping[str, str]) -> dict[str, Finding]:
    return {finding.what: finding for finding in diagnose(environment)}


def _program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found; it is empty at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_nothing_is_installed(bare: Path) -> None:
    found = _by_name({})
    for tool, package in (
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
        ("qemu-system-arm", "qemu-system-arm"),
    ):
        assert found[tool].status is Status.MISSING
        assert found[tool].remedy == f"sudo apt-get install {package}"
    assert found["cc"].status is Status.NOTE
    assert found["cc"].remedy == "sudo apt-get install gcc libc6-dev"
    assert found["Zephyr"].status is Status.NOTE and "ZEPHYR_BASE" in found["Zephyr"].remedy
    assert found["apache-tvm"].status is Status.OK


def test_no_option_is_given_twice(bare: Path) -> None:
    """GCC refuses spec files that it reads twice."""
    _program(
        bare,
        "riscv64-unknown-elf-gcc",
        'test "$1" = --version && echo gcc 12 && exit\n'
        'test "$(printf "%s\\n" "$@" | /usr/bin/grep -c specs)" = 1',
    )
    assert _by_name({})["riscv64-unknown-elf-gcc"].status is Status.OK


def test_compiler_without_c_library(bare: Path) -> None:
    _program(
        bare,
        "arm-none-eabi-gcc",
        'test "$1" = --version && echo gcc 12 && exit\n'
        "echo \"fatal error: cannot read spec file 'nano.specs': No such file\" && exit 1",
    )
    found = _by_name({})["arm-none-eabi-gcc"]
    assert found.status is Status.MISSING
    assert found.remedy == "sudo apt-get install libnewlib-arm-none-eabi"


def test_emulator_without_boards(bare: Path) -> None:
    _program(bare, "qemu-system-arm", 'test "$1" = --version && echo QEMU 4 || echo "mps2-an385 x"')
    found = _by_name({})["qemu-system-arm"]
    assert found.status is Status.NOTE
    assert "mps2-an386" in found.detail and "mps2-an385" not in found.detail


@pytest.mark.parametrize(
    ("version", "status", "remedy"),
    [
        ("VERSION_MAJOR = 3\nVERSION_MINOR = 7\n", Status.OK, ""),
        ("VERSION_MAJOR = 2\nVERSION_MINOR = 7\n", Status.MISSING, "3.3 or newer"),
        ("", Status.MISSING, "set ZEPHYR_BASE"),
    ],
)
def test_zephyr(bare: Path, tmp_path: Path, version: str, status: Status, remedy: str) -> None:
    (tmp_path / "VERSION").write_text(version)
    found = _by_name({"ZEPHYR_BASE": str(tmp_path)})
    assert found["Zephyr"].status is status
    assert remedy in found["Zephyr"].remedy
    assert found["west"].status is Status.MISSING


def test_package_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy==0.1", "no-such-package>=2"])
    found = _by_name({})
    assert found["numpy"].status is Status.MISSING
    assert found["numpy"].remedy == 'pip install "numpy==0.1"'
    assert found["no-such-package"].detail == "not installed"


def test_command_fails_where_something_is_missing(bare: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 4
    found = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["qemu-system-arm"]["status"] == "missing"
    assert "sudo apt-get install" in CliRunner().invoke(app, ["doctor"]).stdout


def test_assembler_that_rounds_where_it_must_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """GNU as 2.40 encodes VQSHRN as VQRSHRN; generated code is not affected."""
    for word, status in (("94ee402f", Status.OK), ("94ee412f", Status.NOTE)):
        monkeypatch.setattr(doctor, "code_of", lambda _, word=word: bytes.fromhex(word))
        found = _by_name({}).get("assembler for Helium")
        if found is None:
            pytest.skip("arm-none-eabi-gcc is not installed")
        assert found.status is status
        assert bool(found.remedy) == (status is Status.NOTE)
