"""What a person looks at: inspections, summaries, tables."""
