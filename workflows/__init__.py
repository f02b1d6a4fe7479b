"""Temporal workflows: deterministic, small, and without any effect of their own.

Activities are called by the names and models of ``contracts``; nothing here imports them.
"""
