"""What is done on this machine: files, processes and compilers."""
