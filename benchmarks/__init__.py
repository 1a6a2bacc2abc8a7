"""One topic per file of `topics/`; `python -m benchmarks TOPIC` measures what has not been measured here yet."""
