PICOWS_VERSION: str
"""Minor version of picows, such as "2.3"."""
DEBUG: bool
"""Built with RLFAST_DEBUG=1."""
SANITIZE: bool
"""Built with RLFAST_SANITIZE=1."""
