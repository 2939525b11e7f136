"""The types of parameters that kernels know: how many bytes an element takes, and what it is computed in."""

WIDTH = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}


def working(dtype: str) -> str:
    """The type of arithmetic and state for parameters of this type: float32 for those of 16 bits."""
    return "float64" if dtype == "float64" else "float32"
