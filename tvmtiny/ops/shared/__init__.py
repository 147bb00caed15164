"""What several operators share; nothing in here is an operator."""
