"""Costs of models in closed form: nothing is built, and nothing runs."""
