"""Where compiled catalogs are kept between starts, and between the processes of one machine.

The rule kept here: the directory is ours and nobody else's, files in it are complete or not there, and what is in it is
never missed: whoever finds nothing usable compiles anew. A name is the document, the rates and the code that made it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bidder.catalog.image import code_version
from bidder.domain import Rates

_LOG = logging.getLogger(__name__)
_SUFFIX = ".catalog"

KEPT_IMAGES = 4
"""Images kept, the ones used last. A file that is deleted while others have it mapped stays there for them."""


def usual_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtb-bidder"


def directory_for(wanted: str) -> Path:
    """The directory to keep images in: `wanted`, or the usual one if that is ""; where it cannot be used, one below the
    directory for temporary files, or, if that is somebody else's, a new one there."""
    temporary = Path(tempfile.gettempdir()) / f"rtb-bidder-{os.geteuid()}"
    for directory in (Path(wanted) if wanted else usual_directory(), temporary):
        try:
            _make_ours(directory)
        except OSError as error:
            _LOG.warning("compiled catalogs cannot be kept in %s: %s", directory, error.strerror or error)
        else:
            return directory
    return Path(tempfile.mkdtemp(prefix="rtb-bidder-"))


def _make_ours(directory: Path) -> None:
    """OSError: it is not a directory that is ours alone, and can be written to."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = directory.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise OSError(0, "it belongs to somebody else")
    if about.st_mode & 0o077:
        directory.chmod(0o700)
    with tempfile.TemporaryFile(dir=directory):
        pass


def image_path(directory: Path, stored: bytes, rates: Rates | None) -> Path:
    """Where the image of a document is, once there is one. `stored`: the document as stored."""
    terms = (rates.base, sorted(rates.per_base.items())) if rates else None
    of_rates = hashlib.sha256(repr(terms).encode()).hexdigest()[:8]
    return directory / f"{hashlib.sha256(stored).hexdigest()[:32]}-{of_rates}-{code_version()}{_SUFFIX}"


def sweep(directory: Path, used: Path) -> None:
    """Note that `used` was, and delete all but the images used last."""
    try:
        os.utime(used)
        for path in sorted(_images(directory), key=lambda path: path.stat().st_mtime_ns, reverse=True)[KEPT_IMAGES:]:
            path.unlink(missing_ok=True)
    except OSError as error:  # another process sweeps as well
        _LOG.info("%s was not swept: %s", directory, error)


def _images(directory: Path) -> Iterator[Path]:
    return directory.glob(f"*{_SUFFIX}")
