"""The board link: transports, frames and packets, independent of projects and models."""
