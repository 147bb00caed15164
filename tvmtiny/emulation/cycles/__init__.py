"""Estimated cycles: timings from the cores' manuals, added up over decoded instructions.

The timings are data: one TOML file a core, each row with the place in the manual that it comes
from, or with the assumption that stands in for it.
"""

from tvmtiny.emulation.cycles.blocks import Block, BlockCost, block_cost, edges_cost
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
