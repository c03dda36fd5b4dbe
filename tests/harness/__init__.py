"""What do several tests need beside pytest: servers to throw away, processes to watch, sizes to count."""
