"""Communication with firmware on a board over TVM's RPC protocol."""
