"""The platform for boards supported by Zephyr."""
