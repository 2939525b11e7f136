"""Second-order methods for the parameters of a model, as torch optimizers whose step takes a closure."""
