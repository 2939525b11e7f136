"""One training and what came of it: named, annealed, trained, in worker processes."""
