"""The kernel family of plain C: loops over tensor expressions, for any CPU."""
