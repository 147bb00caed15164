"""Fixed-point signal processing in numpy, shared by the operators of front ends."""
