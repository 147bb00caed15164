"""Estimates of a model's cost in closed form: nothing is built, and nothing runs."""
