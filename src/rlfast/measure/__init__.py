"""Measuring a live stream: rate, inter-arrival and latency. Its libraries come with ``rlfast[bench]``."""
