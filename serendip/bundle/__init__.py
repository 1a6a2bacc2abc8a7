"""The bundle: the one artefact that is evaluated, served and rolled back. A directory; see ``docs/bundle.md``."""

from serendip.bundle.ask import Answer
from serendip.bundle.bundle import Bundle
from serendip.bundle.errors import BundleError
from serendip.bundle.manifest import Manifest

__all__ = ["Answer", "Bundle", "BundleError", "Manifest"]
