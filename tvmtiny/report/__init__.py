"""Reports for people: inspections, summaries, tables."""
