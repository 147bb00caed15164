"""Descriptions of CPUs and boards, as data."""

from tvmtiny.targets.board_file import board_entry, make_board
from tvmtiny.targets.lookup import (
    BoardFiles,
    BoardLike,
    board_of_cpu,
    board_with_memory,
    boards,
    find_board,
    find_board_by_name,
    is_board_file,
    own_boards,
    parse_size,
    resolve,
)
from tvmtiny.targets.table import Board, Cpu, Region, Target, cpus

__all__ = [
    "Board",
    "BoardFiles",
    "BoardLike",
    "Cpu",
    "Region",
    "Target",
    "board_entry",
    "board_of_cpu",
    "board_with_memory",
    "boards",
    "cpus",
    "find_board",
    "find_board_by_name",
    "is_board_file",
    "make_board",
    "own_boards",
    "parse_size",
    "resolve",
]
