"""The platform of the boards that Zephyr runs on."""
