"""Fixed-point signal processing in numpy: what operators of front ends have in common."""
