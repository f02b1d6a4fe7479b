"""Set-up: make, the locked requirements, the containers."""
