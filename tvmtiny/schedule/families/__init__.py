"""Kernel families: one folder each, see `tvmtiny.schedule.families.registry`."""
