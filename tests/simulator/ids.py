from __future__ import annotations

AGENT = "0a8ee6c5-7d7a-4d24-9d6d-3a0c1b1f6d70"
TENANT = "5f0c9d53-92c5-4b5f-8f3e-0d8a5b0a2c11"
