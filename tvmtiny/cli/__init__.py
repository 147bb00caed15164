"""The command line: one file per command, each a single call of the library.

Importing TVM takes most of a second, and ``--help``, ``boards`` and ``devices`` do without it. The
modules of this folder therefore import anything that needs TVM inside the command's function, never
at module level. Like all code inside the package, they import from the library's modules rather
than from its public names.
"""
