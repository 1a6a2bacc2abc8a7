"""Run one job in this process and print its value; standard library only, so that peers can run it too."""

import importlib
import json
import sys
from pathlib import Path


def peak_megabytes() -> float:
    """The highest resident memory of this process so far."""
    try:
        import resource
    except ImportError:
        return float("nan")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1024**2 if sys.platform == "darwin" else used / 1024


def main() -> None:
    """``job.py module:function '{"argument": value}'``."""
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    module, _, function = sys.argv[1].partition(":")
    value = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    if isinstance(value, dict):
        value["peak_mb"] = peak_megabytes()
    print("RESULT " + json.dumps(value))


if __name__ == "__main__":
    main()
