"""What touches the world, grouped by noun: rows, files and ComfyUI servers.

Activities are methods of classes that hold their injected clients. Their names and models stand in
``contracts``; a domain error becomes an ``ApplicationError`` here and nowhere else (``errors.py``).
"""
