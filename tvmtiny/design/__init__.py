"""Model design guided by estimated costs."""
