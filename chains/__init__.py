"""The chain language: YAML to definition to plan, templates and conditions. Pure: no I/O of its own."""
