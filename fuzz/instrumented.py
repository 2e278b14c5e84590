"""One process of the frame loop's fuzzer: ``python -m fuzz.instrumented ARGUMENTS OF libFuzzer``.

Before anything of rlfast is imported, the modules that the driver carries take the place of the installed ones.
"""

from __future__ import annotations

import gc
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location

from fuzz import driver
from fuzz.build import FRAME_MODULES


class Finder:
    """Finds them in the driver's file: an extension module is found there by its name."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in FRAME_MODULES:
            return None
        loader = ExtensionFileLoader(name, driver.__file__)
        return spec_from_file_location(name, driver.__file__, loader=loader)


def main() -> None:
    """Fuzz; does not return."""
    sys.meta_path.insert(0, Finder())
    from fuzz.frames import execute

    for name in FRAME_MODULES:
        assert sys.modules[name].__file__ == driver.__file__, f"{name} is not the instrumented one"
    # What is there by now stays: nobody shall look through it for garbage again and again.
    gc.freeze()
    driver.run(sys.argv[1:], execute)


if __name__ == "__main__":
    main()
