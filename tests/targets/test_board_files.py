"""Boards from files: accepted files, refused keys, and precedence where names are equal."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from own_board import BOARD

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import BoardFileError, InputError, UnknownTargetError
from tvmtiny.project.qemu.options import QemuOptions
from tvmtiny.project.registry import platform_for
from tvmtiny.project.zephyr.board import ZephyrBoard, find_zephyr_board
from tvmtiny.targets import (
    Board,
    board_entry,
    board_of_cpu,
    board_with_memory,
    boards,
    cpus,
    find_board,
    find_board_by_name,
    make_board,
    own_boards,
    parse_size,
    resolve,
)
from tvmtiny.targets.board_file import parse_board


def write(path: Path, text: str = BOARD) -> Path:
    path.write_text(text)
    return path


def changed(old: str, new: str) -> str:
    assert BOARD.count(old) >= 1
    return BOARD.replace(old, new, 1)


def test_a_board_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "any.toml")
    board = find_board(str(path))
    assert board.data.end == 0x20004000
    assert (board.name, board.cpu, board.file) == ("lab", cpus()["cortex-m4"], str(path))
    assert find_board(path) == resolve(path).board == resolve(str(path)).board == board
    assert find_board(board) is board
    assert resolve(board.target) is not None and resolve(board).board is board
    assert QemuOptions.of(board).stack_bytes == 4096
    with pytest.raises(KeyError):
        board.region("tcm")
    with pytest.raises(dataclasses.FrozenInstanceError):
        board.name = "other"  # type: ignore[misc]


def test_what_may_be_left_out() -> None:
    text = changed('description = "a board"\n', "").replace('platform = "qemu"\n', "")
    board = parse_board(text.split("[options]")[0], "lab.toml")
    assert (board.description, board.platform, board.options) == ("", "", {})
    with pytest.raises(InputError, match=r"has no platform.*qemu, zephyr"):
        platform_for(board)


@pytest.mark.parametrize("name", list(boards()))
def test_an_entry_makes_the_board_again(name: str) -> None:
    board = boards()[name]
    assert make_board(board_entry(board), "there") == board


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ('name = "lab"', "name = 5", "name", "is 5"),
        ('name = "lab"', 'name = "../lab"', "name", "letters, digits"),
        ('name = "lab"', 'name = "a*/b"', "name", "letters, digits"),
        ('name = "lab"', 'name = "lab.toml"', "name", "not .toml"),
        ('name = "lab"', "", "name", "is missing"),
        ('description = "a board"', r'description = "a\u001b[31m"', "description", "one line"),
        ('description = "a board"', 'descripton = "a"', "descripton", "did you mean description?"),
        ('description = "a board"', r'"a\nb" = 1', r"'a\nb'", "is not a known key"),
        ('cpu = "cortex-m4"', 'cpu = "cortex-m44"', "cpu", "did you mean 'cortex-m4'?"),
        ('cpu = "cortex-m4"', 'cpu = ["cortex-m4"]', "cpu", "cortex-m0"),
        ('platform = "qemu"', 'platform = "QEMU 9"', "platform", "name of a platform"),
        ('code_region = "flash"', "", "code_region", "is missing"),
        ('data_region = "ram"', 'data_region = "tcm"', "data_region", "allowed: flash, ram"),
        ('data_region = "ram"', 'data_region = "flash"', "data_region", "not of kind ram"),
        ('kind = "ram"', 'kind = "eeprom"', "regions[1].kind", "allowed: flash, ram"),
        ('kind = "ram"', 'kynd = "ram"', "regions[1].kynd", "did you mean kind?"),
        ("0x20000000", "0x8000", "regions", "overlap"),
        ("0x20000000", "-1", "regions[1].origin", "from 0 to"),
        ("0x20000000", "0xffffffff", "regions[1].length", "from 1 to 1"),
        ("length = 0x4000", "length = 0", "regions[1].length", "is 0"),
        ("length = 0x4000", "length = true", "regions[1].length", "is True"),
        ("length = 0x4000", "length = 1e4", "regions[1].length", "whole numbers"),
        ('name = "ram",', 'name = "flash",', "regions", "share the name flash"),
        ('name = "ram",', 'name = "r m",', "regions[1].name", "letters, digits"),
        ("regions = [", "regions = []\nmore = [", "more", "is not a known key"),
        ("[options]", "[option]", "option", "did you mean options?"),
        ('platform = "qemu"', "platform = ", "", "not valid TOML"),
    ],
)
def test_a_wrong_board_file_is_refused(old: str, new: str, key: str, message: str) -> None:
    with pytest.raises(BoardFileError) as raised:
        parse_board(changed(old, new), "lab.toml")
    error = raised.value
    assert (error.file, error.key) == ("lab.toml", key)
    assert message in str(error) and error.allowed in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ('machine = "mps2-an386"', "", "options.machine", "is missing"),
        ('machine = "mps2-an386"', 'machine = "-S"', "options.machine", "machine of QEMU"),
        ("systick_hz", "systik_hz", "options.systik_hz", "did you mean systick_hz?"),
        ("25_000_000", "0", "options.systick_hz", "from 1 to"),
        ("stack_bytes = 4096", "stack_bytes = 65536", "options.stack_bytes", "16,384"),
        ("length = 0x4000 }", "length = 0x80 }", "data_region", "ram with 256 bytes or more"),
        ('driver = "cmsdk"', 'driver = "pl011"', "options.uart.driver", "cmsdk, nrf51"),
        ("irq = 0", "irq = 480", "options.uart.irq", "from 0 to 479"),
        ("payload_bytes = 1024", "payload_bytes = 8", "options.uart.payload_bytes", "from 64"),
        ("uart = {", "uart = 1 # {", "options.uart", "a table"),
    ],
)
def test_wrong_options_of_the_emulator(old: str, new: str, key: str, message: str) -> None:
    board = parse_board(changed(old, new), "lab.toml")
    with pytest.raises(BoardFileError) as raised:
        QemuOptions.of(board)
    assert (raised.value.file, raised.value.key) == ("lab.toml", key)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "options.names"),
        ({"names": []}, "options.names"),
        ({"names": ["a b"]}, "options.names"),
        ({"names": ["a"], "machine": 3}, "options.machine"),
        ({"names": ["a"], "compile_options": ["-O2 -g"]}, "options.compile_options"),
        ({"names": ["a"], "flags": []}, "options.flags"),
    ],
)
def test_wrong_options_of_zephyr(options: dict[str, object], key: str) -> None:
    board = dataclasses.replace(boards()["zephyr:mps2_an385"], options=options, file="lab.toml")
    with pytest.raises(BoardFileError) as raised:
        ZephyrBoard.of(board)
    assert (raised.value.file, raised.value.key) == ("lab.toml", key)


def test_an_unknown_platform_is_named_with_its_file() -> None:
    with pytest.raises(BoardFileError, match=r"lab\.toml: platform is 'qmeu'.*did you mean 'qemu'"):
        platform_for(parse_board(changed('"qemu"', '"qmeu"'), "lab.toml"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    write(tmp_path / "deep.toml", "a = " + "[" * 10_000)
    for name, problem in (
        ("none.toml", "does not exist"),
        ("folder.toml", "is not a file"),
        ("pipe.toml", "is not a file"),
        ("bytes.toml", "not text in UTF-8"),
        ("large.toml", "more than 1,048,576 bytes"),
        ("deep.toml", "not valid TOML"),
    ):
        with pytest.raises(BoardFileError, match=problem):
            find_board(tmp_path / name)


def test_named_files(tmp_path: Path) -> None:
    files = {
        "lab": write(tmp_path / "a.toml"),
        "other": write(tmp_path / "b.toml"),
        "mps2-an386": write(tmp_path / "c.toml", changed('"lab"', '"mps2-an386"')),
        "cortex-m4": write(tmp_path / "d.toml", changed('"lab"', '"cortex-m4"')),
        "none": tmp_path / "none.toml",
    }
    assert find_board("lab", files) == resolve("lab", files).board == find_board(files["lab"])
    # Broken files disturb no other board.
    assert find_board("microbit", files) is boards()["microbit"]
    assert resolve("cortex-m7", files).board is None
    for name, problem in (
        ("other", "name is 'lab'.*'other'"),
        ("mps2-an386", "tvmtiny has already"),
        ("cortex-m4", "tvmtiny has already"),
        ("none", "does not exist"),
    ):
        for look in (find_board, resolve):
            with pytest.raises(BoardFileError, match=problem):
                look(name, files)
    found, errors = own_boards(files)
    assert list(found) == ["lab"] and len(errors) == 4
    with pytest.raises(UnknownTargetError, match="did you mean lab") as raised:
        find_board("Lab", files)
    assert raised.value.known == (*files, *boards())


def test_a_copy_of_a_shipped_file_is_that_board(tmp_path: Path) -> None:
    shipped = Path(tvmtiny.targets.__file__).parent / "boards" / "microbit.toml"
    assert find_board(write(tmp_path / "copy.toml", shipped.read_text())) == boards()["microbit"]


def test_a_name_from_elsewhere_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownTargetError):
        find_board_by_name(str(write(tmp_path / "lab.toml")))


def test_a_cpu_is_no_board_and_its_boards_are_suggested() -> None:
    with pytest.raises(UnknownTargetError, match="no board 'cortex-m0'; did you mean microbit"):
        find_board("cortex-m0")


def test_python_api(tmp_path: Path) -> None:
    path = write(tmp_path / "lab.toml")
    model = tvmtiny.load(models.path("sine"))
    artifact = tvmtiny.compile(model, path)
    board = artifact.target.board
    assert isinstance(board, Board) and board.name == "lab"
    assert tvmtiny.compile(model, str(path)).files == tvmtiny.compile(model, board).files
    with pytest.raises(BoardFileError):
        tvmtiny.run(artifact, board=tmp_path / "none.toml")


def test_zephyr_boards_from_files(tmp_path: Path) -> None:
    text = BOARD.split("[options]")[0].replace('"qemu"', '"zephyr"')
    path = write(tmp_path / "lab.toml", text + '[options]\nnames = ["lab_board"]\n')
    for found in (
        find_zephyr_board(path),
        find_zephyr_board(str(path), "cortex-m4"),
        find_zephyr_board("lab", files={"lab": path}),
    ):
        assert (found.name, found.names, found.cpu.name) == ("lab", ("lab_board",), "cortex-m4")
    with pytest.raises(InputError, match="has a cortex-m4, not a cortex-m7"):
        find_zephyr_board(path, "cortex-m7")
    with pytest.raises(InputError, match="not a Zephyr board"):
        find_zephyr_board(write(tmp_path / "qemu.toml"))


@pytest.mark.parametrize(
    ("text", "count"),
    [("65536", 65536), ("64K", 65536), ("64k", 65536), ("1M", 1 << 20), (" 2m ", 2 << 20)],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "K", "-1", "1.5K", "64KB", "1G", "0x10", "\u0661"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(InputError, match="is not a size; give"):
        parse_size(text)


def test_a_cpu_with_memory(tmp_path: Path) -> None:
    board = board_with_memory("cortex-m4", "256K", "1M")
    assert board == board_of_cpu(cpus()["cortex-m4"], 256 << 10, 1 << 20)
    assert (board.data.length, board.code.length) == (256 << 10, 1 << 20)
    assert board_with_memory("microbit") is boards()["microbit"]
    path = str(write(tmp_path / "lab.toml"))
    assert board_with_memory(path).name == "lab"
    for name, ram, flash, message in (
        ("cortex-m4", None, None, "give --ram and --flash, too"),
        ("cortex-m4", "1K", None, "give --flash, too"),
        ("microbit", "1K", None, "with its own memory.*cortex-m0"),
        (path, None, "1K", "with its own memory"),
        ("cortex-m4", "0", "1K", "give 1 to 536,870,912"),
        ("cortex-m4", "1K", "513M", "give 1 to 536,870,912"),
        ("cortex-m44", "1K", "1K", "did you mean cortex-m4"),
    ):
        with pytest.raises(InputError, match=message):
            board_with_memory(name, ram, flash)
