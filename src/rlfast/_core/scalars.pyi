# Written by Cython for other extensions.
__pyx_capi__: dict[str, object]
