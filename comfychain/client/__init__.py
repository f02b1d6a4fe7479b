"""The Python client: ``Client`` and ``AsyncClient`` speak to the HTTP API, ``TemporalClient`` and
``AsyncTemporalClient`` straight to Temporal. It needs contracts, httpx, pydantic and temporalio alone.

A script imports all of them from ``comfychain``.
"""
