"""Compiled loops and the thread pool that runs them. Importing this package, or `topk` in it, compiles nothing."""
