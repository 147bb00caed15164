"""The platform for boards that QEMU emulates without an operating system."""
