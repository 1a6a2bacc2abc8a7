"""Modules and losses that models are built of. It needs PyTorch; it knows no data, files or training loop."""
