"""What generated code does with samples that come in blocks, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Feed:
    """How samples become decisions, and decisions events.

    Attributes
    ----------
    front_end
        Its name.
    nodes
        How many nodes of the graph, from the first one on, it consists of.
    sample_rate
        In Hz.
    samples
        Of one decision: how many new ones the model takes.
    early_state, early
        Which of the graph's states holds the samples before these, and how many: they come in
        front of the first decision.
    classes
        Positions in the model's output that are events.
    average
        Over how many decisions outputs are summed up.
    least_sum
        Such a sum, from which on there is an event.
    refractory
        For how many decisions after an event there is no other one.
    """

    front_end: str
    nodes: int
    sample_rate: int
    samples: int
    early_state: int
    early: int
    classes: tuple[int, ...]
    average: int
    least_sum: int
    refractory: int

    @property
    def milliseconds(self) -> float:
        """From one decision to the next."""
        return 1000 * self.samples / self.sample_rate
