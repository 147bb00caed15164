"""The generated C packaged for build systems and IDEs."""
