"""Choose layers that run row by row: segments, their rings of rows, and the order of their work."""
