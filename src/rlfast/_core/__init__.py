"""The compiled core: frames, blocks, messages, columns. It imports nothing from the layer above it."""
