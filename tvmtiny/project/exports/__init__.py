"""Packages of the generated C for build systems and IDEs."""
