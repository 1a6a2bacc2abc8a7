"""What answers: NumPy scorers, the only thing about a model that a bundle holds.

Each is a frozen dataclass of arrays, sparse matrices and plain values, so that `dump` and `restore` serve them all.
"""
