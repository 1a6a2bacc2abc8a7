"""Finding the vectors with the highest inner product."""
