"""Projects: generate, build and flash firmware, and reach boards; see `tvmtiny.project.api`."""
