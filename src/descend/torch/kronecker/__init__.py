"""K-FAC: layers whose curvature is kept as two Kronecker factors, and the optimizer that divides by it."""
