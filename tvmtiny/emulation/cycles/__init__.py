"""Estimate cycles by summing the timings from the cores' manuals over decoded instructions.

The timings are data: one TOML file per core. Each row names the section of the manual that it comes
from, or the assumption that replaces it.
"""

from tvmtiny.emulation.cycles.basic_blocks import Block, BlockCost, block_cost, edges_cost
from tvmtiny.emulation.cycles.table import Cost, Rule, Timing, Timings, timed_cores, timings

__all__ = [
    "Block",
    "BlockCost",
    "Cost",
    "Rule",
    "Timing",
    "Timings",
    "block_cost",
    "edges_cost",
    "timed_cores",
    "timings",
]
