"""CPUs and boards: the shipped tables, and look-up by exact name."""

from __future__ import annotations

import pickle

import pytest

from tvmtiny.errors import UnknownTargetError
from tvmtiny.project.qemu.options import QemuOptions
from tvmtiny.project.zephyr.board import ZephyrBoard
from tvmtiny.targets import boards, cpus, find_board, resolve
from tvmtiny.targets.table import all_features


def test_shipped_cpus() -> None:
    assert list(cpus()) == [
        "cortex-m0",
        "cortex-m0plus",
        "cortex-m3",
        "cortex-m4",
        "cortex-m7",
        "cortex-m33",
        "cortex-m33+nodsp",
        "cortex-m55",
        "cortex-m55+nomve.fp",
        "cortex-m55+nomve",
        "cortex-m85",
        "rv32imc",
        "rv32imc_zba_zbb",
        "rv32imcv",
        "rv32emc",
    ]
    assert cpus()["cortex-m55"].features == {"thumb2", "dsp", "fpu", "mve", "mvef"}
    assert cpus()["cortex-m0"].features == frozenset()
    for name, cpu in cpus().items():
        if cpu.architecture == "arm":
            assert f"-mcpu={name}" in cpu.flags or name == "cortex-m85"
            assert ("-mfloat-abi=hard" in cpu.flags) == ("fpu" in cpu.features)
        else:
            # Vectors occur in assembly only.
            assert f"-march={name.removesuffix('v')}" in cpu.flags


@pytest.mark.parametrize(
    ("name", "cpu"),
    [
        ("microbit", "cortex-m0"),
        ("mps2-an385", "cortex-m3"),
        ("mps2-an386", "cortex-m4"),
        ("mps2-an500", "cortex-m7"),
        ("mps2-an505", "cortex-m33"),
        ("mps3-an547", "cortex-m55"),
        ("riscv-virt", "rv32imc"),
        ("riscv-virt-zbb", "rv32imc_zba_zbb"),
        ("riscv-virt-v", "rv32imcv"),
        ("riscv-virt-v256", "rv32imcv"),
        ("sifive-e", "rv32imc"),
    ],
)
def test_shipped_boards(name: str, cpu: str) -> None:
    board = find_board(name)
    assert board.cpu is cpus()[cpu]
    assert board.code.kind == "flash"
    assert board.data.kind == "ram"
    options = QemuOptions.of(board)
    assert options.stack_bytes < board.data.length
    target = resolve(name)
    assert target.board is board
    assert target.cpu is board.cpu
    assert target.name == name
    assert pickle.loads(pickle.dumps(target)) == target
    assert hash(target) == hash(resolve(name))


@pytest.mark.parametrize(
    ("name", "cpu"),
    [
        ("mps2_an385", "cortex-m3"),
        ("mps2_an386", "cortex-m4"),
        ("mps2_an521", "cortex-m33+nodsp"),
        ("mps3_an547", "cortex-m55"),
    ],
)
def test_shipped_boards_of_zephyr(name: str, cpu: str) -> None:
    board = find_board(f"zephyr:{name}")
    assert (board.platform, board.cpu.name) == ("zephyr", cpu)
    options = ZephyrBoard.of(board)
    assert options.board is board
    assert options.machine == name.replace("_", "-")
    # Zephyr 3.7 has names with parts; the older name comes last.
    assert "/" in options.names[0] and "/" not in options.names[-1]


def test_microbit_has_the_memory_of_the_real_one() -> None:
    board = find_board("microbit")
    assert (board.code.length, board.data.length) == (256 * 1024, 16 * 1024)


def test_a_cpu_is_a_target_without_a_board() -> None:
    target = resolve("cortex-m33")
    assert target.board is None
    assert target.name == "cortex-m33"
    with pytest.raises(UnknownTargetError):
        find_board("cortex-m33")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("mps2_an386", "mps2-an386"), ("cortexm4", "cortex-m4"), ("MicroBit", "microbit")],
)
def test_unknown_names_suggest_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownTargetError) as raised:
        resolve(name)
    assert raised.value.nearest[0] == nearest
    assert nearest in str(raised.value)
    assert set(raised.value.known) == {*boards(), *cpus()}


@pytest.mark.parametrize("name", ["", "mps2-an386-extra", "an386", "cortex-m4f", "m4"])
def test_a_part_of_a_name_is_not_a_name(name: str) -> None:
    with pytest.raises(UnknownTargetError):
        resolve(name)


def test_every_feature_of_a_cpu_is_listed() -> None:
    """The image of a model could not state its needs otherwise."""
    assert {f for cpu in cpus().values() for f in cpu.features} == set(all_features())
