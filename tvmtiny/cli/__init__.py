"""The command line: one file a command, each one call of the library."""
