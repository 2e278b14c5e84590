# cython: language_level=3
"""What the extensions were compiled against. This module imports nothing, so it loads when others cannot."""

cdef extern from *:
    const char* RLFAST_PICOWS_VERSION
    int RLFAST_DEBUG
    int RLFAST_SANITIZE

PICOWS_VERSION = RLFAST_PICOWS_VERSION.decode("ascii")
DEBUG = bool(RLFAST_DEBUG)
SANITIZE = bool(RLFAST_SANITIZE)
