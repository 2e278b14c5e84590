"""Coverage-guided fuzzing of the compiled decoder against msgspec; see README.md."""
