"""What every store promises, run over each implementation, and what the local one promises besides."""
