"""`python -m benchmarks TOPIC [--again PATTERN]`: measure a topic, print its table, write its result file."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

from benchmarks import topics
from benchmarks.harness import Topic


def main() -> int:
    known = sorted(module.name for module in pkgutil.iter_modules(topics.__path__))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("topic", choices=known)
    parser.add_argument("--again", metavar="PATTERN", help="measure the rows whose name has this in it once more")
    given = parser.parse_args()
    module = importlib.import_module(f"benchmarks.topics.{given.topic}")
    topic = Topic(given.topic, again=given.again)
    module.measure(topic)
    topic.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
