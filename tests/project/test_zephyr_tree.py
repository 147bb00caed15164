"""Zephyr trees: their versions, their boards by old and new names, and builds' error messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmtiny.errors import BuildError, InputError, ToolMissingError, UnknownTargetError
from tvmtiny.project.zephyr.source_tree import find_tree, first_west_error

VERSION = "VERSION_MAJOR = {}\nVERSION_MINOR = {}\nPATCHLEVEL = 1\nVERSION_TWEAK = 0\n"


def make_tree(root: Path, major: int, minor: int, boards: dict[str, list[str]]) -> Path:
    """A tree with the files that are read: devicetrees by folder of ``boards``."""
    root.mkdir()
    (root / "VERSION").write_text(VERSION.format(major, minor))
    for folder, names in boards.items():
        directory = root / "boards" / folder
        directory.mkdir(parents=True)
        for name in names:
            (directory / name).write_text("")
    return root


@pytest.fixture
def old_tree(tmp_path: Path) -> Path:
    return make_tree(
        tmp_path / "old",
        3,
        4,
        {"arm/mps2_an385": ["mps2_an385.dts"], "arm/mps3_an547": ["mps3_an547.dts"]},
    )


@pytest.fixture
def new_tree(tmp_path: Path) -> Path:
    return make_tree(
        tmp_path / "new",
        4,
        1,
        {
            "arm/mps2": ["board.yml", "mps2_an385.dts", "mps2_an521_cpu0.dts"],
            "arm/mps3": ["board.yml", "mps3_corstone300_an547.dts"],
            "st/nucleo_h743zi": ["board.yml", "nucleo_h743zi.dts"],
        },
    )


def test_versions(old_tree: Path, new_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_tree(old_tree).version == (3, 4, 1)
    monkeypatch.setenv("ZEPHYR_BASE", str(new_tree))
    assert find_tree().version == (4, 1, 1)
    assert find_tree().base == new_tree


def test_no_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZEPHYR_BASE", raising=False)
    with pytest.raises(InputError, match="ZEPHYR_BASE is not set"):
        find_tree()
    with pytest.raises(InputError, match="not a Zephyr tree"):
        find_tree(tmp_path)
    (tmp_path / "VERSION").write_text("1.2.3\n")
    with pytest.raises(InputError, match="not a Zephyr tree"):
        find_tree(tmp_path)
    with pytest.raises(InputError, match=r"version 3.2.1; 3.3 or newer is needed"):
        find_tree(make_tree(tmp_path / "ancient", 3, 2, {}))


def test_board_names(old_tree: Path, new_tree: Path) -> None:
    old, new = find_tree(old_tree), find_tree(new_tree)
    m3 = ("mps2/an385", "mps2_an385")
    assert old.board_name(m3) == "mps2_an385"
    assert new.board_name(m3) == "mps2/an385"
    m55 = ("mps3/corstone300/an547", "mps3/an547", "mps3_an547")
    assert old.board_name(m55) == "mps3_an547"
    assert new.board_name(m55) == "mps3/corstone300/an547"
    assert new.board_name(("mps2/an521/cpu0", "mps2_an521")) == "mps2/an521/cpu0"
    # The devicetree of a board with one SoC has the board's name alone; revisions have none.
    assert new.board_name(("nucleo_h743zi/stm32h743xx@1",)) == "nucleo_h743zi/stm32h743xx@1"
    assert new.board_name(("nucleo_h743zi",)) == "nucleo_h743zi"


def test_an_unknown_board_suggests_the_nearest(old_tree: Path) -> None:
    with pytest.raises(UnknownTargetError, match="did you mean mps2_an385") as raised:
        find_tree(old_tree).board_name(("mps2_an38",))
    assert raised.value.nearest[0] == "mps2_an385"
    with pytest.raises(UnknownTargetError, match="2 boards"):
        find_tree(old_tree).board_name(("zzzzzzzz",))


def test_west_is_missing_or_fails(
    old_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    log = tmp_path / "logs" / "build.log"
    with pytest.raises(ToolMissingError, match="pip install west"):
        find_tree(old_tree).west(["build"], log)
    west = programs / "west"
    west.write_text(
        '#!/bin/sh\necho "base $ZEPHYR_BASE"\necho "$@: fatal error: no" >&2\nexit $2\n'
    )
    west.chmod(0o755)
    assert find_tree(old_tree).west(["build", "0"], log) == (
        f"base {old_tree}\nbuild 0: fatal error: no\n"
    )
    with pytest.raises(BuildError, match=r"west failed: build 3: fatal error: no; .*build.log"):
        find_tree(old_tree).west(["build", "3"], log)


KCONFIG = """\
-- Board: mps2_an385
warning: HAS_CMSIS_CORE has been here before
Parsing /app/Kconfig
Loaded configuration '/zephyr/boards/arm/mps2_an385/mps2_an385_defconfig'
/app/conf/user/1-bad.conf:1: warning: attempt to assign the value 'y' to the undefined symbol NOPE

error: Aborting due to Kconfig warnings

CMake Error at /zephyr/cmake/modules/kconfig.cmake:343 (message):
  command failed with return code: 1
"""
SYNTAX = """\
Parsing /app/Kconfig
/zephyr/scripts/kconfig/kconfig.py: /app/Kconfig:7: error: couldn't parse 'defaultt y'
CMake Error at /zephyr/cmake/modules/kconfig.cmake:343 (message):
  command failed with return code: 1
"""
CMAKE = """\
-- west build: generating a build system
CMake Error at cmake/fragments.cmake:23 (message):
  TVMTINY_MODE is 'foo'; it can be standalone, steps, rpc, runner, shell, mlperf or mlperf-energy
Call Stack (most recent call first):
  CMakeLists.txt:11 (tvmtiny_fragments)


FATAL ERROR: command exited with status 1: /usr/bin/cmake
"""
COMPILER = """\
[3/99] Building C object standalone.c.obj
FAILED: CMakeFiles/app.dir/src/standalone.c.obj
/usr/bin/arm-none-eabi-gcc -Werror=implicit-int src/standalone.c
/app/src/standalone.c:65:9: error: 'y' undeclared here (not in a function)
ninja: build stopped: subcommand failed.
FATAL ERROR: command exited with status 1: /usr/bin/cmake --build /app/build
"""
DEVICETREE = """\
devicetree error: /app/app.overlay:3 (column 1): parse error: expected number
CMake Error at /zephyr/cmake/modules/dts.cmake:300 (execute_process):
  execute_process failed command indexes:
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (KCONFIG, "/app/conf/user/1-bad.conf:1: warning: attempt to assign the value 'y' to the "
         "undefined symbol NOPE"),
        (SYNTAX, "couldn't parse 'defaultt y'"),
        (CMAKE, "TVMTINY_MODE is 'foo'; it can be standalone, steps, rpc, runner, shell, mlperf or "
         "mlperf-energy"),
        (COMPILER, "/app/src/standalone.c:65:9: error: 'y' undeclared here (not in a function)"),
        (DEVICETREE, "devicetree error: /app/app.overlay:3"),
        ("ld: region `FLASH' overflowed by 12 bytes\n", "region `FLASH' overflowed by 12 bytes"),
        ("FATAL ERROR: no board\n", "FATAL ERROR: no board"),
        ("one\n\nlast words\n\n", "last words"),
        ("", "no output"),
        (
            "-- west build: generating a build system\n"
            "CMake Error at cmake/modules/dts.cmake:295 (message):\n  gen_defines.py failed\n"
            "Traceback (most recent call last):\n"
            '  File "scripts/dts/gen_defines.py", line 31, in <module>\n    import elftools\n'
            "ModuleNotFoundError: No module named 'elftools'\n"
            "fatal error: command failed\nFATAL ERROR: command exited with status 1: cmake\n",
            "ModuleNotFoundError: No module named 'elftools'",
        ),
    ],
)  # fmt: skip
def test_the_first_real_error(log: str, line: str) -> None:
    assert line in first_west_error(log)
