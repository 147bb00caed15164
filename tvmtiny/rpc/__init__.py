"""Talking to firmware on a board over TVM's RPC."""
