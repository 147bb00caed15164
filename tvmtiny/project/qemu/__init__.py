"""The platform of the boards that QEMU emulates without an operating system."""
