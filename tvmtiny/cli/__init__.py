"""The command line: one file a command, each one call of the library.

Importing TVM takes most of a second, and ``--help``, ``boards`` and ``devices`` do without it. So
the modules of this folder import what needs TVM where a command runs, never at their top. They
import from the modules of the library, as everything inside the package does, and not its public
names.
"""
