"""The Python client against the real application over real sockets."""
