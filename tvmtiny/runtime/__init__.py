"""C sources that ship with generated code."""
