"""Methods that are not one pass over a gradient: second order, populations, and one ``minimize`` for all of them.

A method (``method.Method``) is a loop written as in its paper, which asks for what it wants to know: values of many
points, a gradient, a product with the Hessian. ``minimizing.minimize`` answers from a function (``problem.Problem``),
a caller of ``ask`` and ``tell`` answers from wherever the values come. ``names`` lists the methods.
"""
