"""Items that come, change and go while a bundle answers. See `Catalogue` and ``docs/search.md``."""

from serendip.catalogue.catalogue import Catalogue
from serendip.catalogue.log import CatalogueError
from serendip.catalogue.reading import beside, kept_in, rows_of
from serendip.catalogue.view import View

__all__ = ["Catalogue", "CatalogueError", "View", "beside", "kept_in", "rows_of"]
