"""Parameters of the generated function that takes samples in blocks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Feed:
    """Parameters that turn samples into decisions, and decisions into events.

    Attributes
    ----------
    front_end
        Name of the front end.
    nodes
        Number of nodes of the front end; they are the first ones of the graph.
    sample_rate
        Sample rate in Hz.
    samples
        New samples that the model takes for each decision.
    early_state, early
        Position of the graph's state that holds earlier samples, and their number: they precede
        the samples of the first decision.
    classes
        Positions in the model's output that stand for events.
    average
        Number of decisions whose outputs are summed.
    least_sum
        Least sum that triggers an event.
    refractory
        Number of decisions after an event in which no other event is triggered.
    slides
        Whether a decision computes only the new rows of its window, in all layers that slide.
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
    slides: bool = False

    @property
    def milliseconds(self) -> float:
        """Milliseconds from one decision to the next."""
        return 1000 * self.samples / self.sample_rate
