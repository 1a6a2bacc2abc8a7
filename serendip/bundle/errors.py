"""What goes wrong with a bundle."""

from serendip.types import SerendipError


class BundleError(SerendipError):
    """A bundle that cannot be written, read or trusted to answer as it did."""
