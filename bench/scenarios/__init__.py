"""The ways from client to server that are compared."""
