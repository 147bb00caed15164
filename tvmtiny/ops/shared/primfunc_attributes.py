"""Attributes of PrimFuncs, through which parts of the compiler pass on facts about functions."""

#: The TFLite operator that a function implements.
OPERATOR_ATTR = "tvmtiny.operator"

#: Description of the schedule, for reports; a function that has it is finished.
SCHEDULE_ATTR = "tvmtiny.schedule"

#: The runtime headers that the C code includes.
HEADERS_ATTR = "tvmtiny.headers"

#: C text before the kernel, one instantiation per line.
PREAMBLE_ATTR = "tvmtiny.preamble"

#: Which buffers may overlap, see `tvmtiny.schedule.overlap`.
OVERLAPS_ATTR = "tvmtiny.overlaps"

#: Which calls of micro-kernels can be divided, see `tvmtiny.schedule.nest.Divisible`.
DIVISIBLE_ATTR = "tvmtiny.divisible"

#: Set where the decisions come from a tuned record.
TUNED_ATTR = "tvmtiny.tuned"

#: The node whose subgraphs a function runs, see `tvmtiny.ops.shared.control_call`.
CONTROL_ATTR = "tvmtiny.control"
