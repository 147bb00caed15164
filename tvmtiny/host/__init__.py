"""Access to this machine: files, processes and compilers."""
