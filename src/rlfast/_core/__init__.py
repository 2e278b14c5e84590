"""The compiled core: C memory and what works on it. It imports nothing from the Python layers above.

Holds the version of the package, and refuses a picows that the extensions were not compiled against before
anything that cimports it is loaded.
"""

from __future__ import annotations

from picows.version import __version__ as _installed

from rlfast._core.buildinfo import PICOWS_VERSION

__version__ = "0.1.0"


def _check_picows() -> None:
    """Refuse to go on with a picows of another minor version.

    The frame loop is compiled against picows' struct layout and vtable, which change between minor versions
    (WSFrame did from 1.20 to 2.3); with another one it would read the wrong memory.

    Raises:
        ImportError: the versions differ; the text says what to install.
    """
    minor = ".".join(_installed.split(".")[:2])
    if minor != PICOWS_VERSION:
        raise ImportError(
            f"rlfast was built against picows {PICOWS_VERSION}, but picows {_installed} is installed; "
            f"run: pip install 'picows=={PICOWS_VERSION}.*' "
            "(or rebuild rlfast: pip install --force-reinstall --no-binary rlfast rlfast)"
        )


_check_picows()
