"""``python -m serendip``: the same as the command ``serendip``."""

from serendip.cli import main

if __name__ == "__main__":
    main()
