"""The board link: transports, frames and packets; it knows no projects and no models."""
