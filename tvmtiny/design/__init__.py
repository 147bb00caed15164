"""Designing models with their cost at hand."""
