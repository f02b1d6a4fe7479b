"""Benchmarks: what comfychain promises about its speed and size, measured as real processes (Linux).

``python -m benchmarks`` runs them all; docs/benchmarks.md says what each measures and how to read it.
"""
