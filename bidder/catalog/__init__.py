"""Campaigns: read from a document, checked whole, swapped whole; the last good catalog stays in use."""

from bidder.catalog.image import CatalogError
from bidder.catalog.loader import Catalog, load
from bidder.catalog.store import CatalogStore

__all__ = ["Catalog", "CatalogError", "CatalogStore", "load"]
