"""Methods that use the gradient and the curvature, and the line searches and trust regions they share."""
