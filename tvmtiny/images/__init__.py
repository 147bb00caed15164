"""Model images: position-independent code with a header, a hash and a signature."""
