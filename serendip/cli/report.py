"""x"""

from serendip.cli.output import Output
from serendip.cli.verb import verb

EXAMPLES = ()


@verb
def report(show: Output) -> None:
    """x"""
