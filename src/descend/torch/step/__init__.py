"""One step: planned, validated, pointed to, run."""
