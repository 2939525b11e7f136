"""What the curvature is worth at equal seconds: differential equations by small nets, and K-FAC on the digits."""
