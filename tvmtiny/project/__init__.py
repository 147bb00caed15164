"""Generate, build and flash firmware, and connect to boards; see `tvmtiny.project.api`."""
