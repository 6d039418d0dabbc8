"""Studies that become scripts in benchmarks/, and their statistics."""
