"""What a matrix of D × D numbers takes, said before it is allocated."""


def amount(count: float) -> str:
    """Bytes as a person reads them: 7.28 TiB."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.3g} {unit}"
        count /= 1024
    raise AssertionError


def refuse_large(method: str, what: str, n: int, limit: float) -> None:
    """Refuse a float64 matrix of n × n numbers that takes more bytes than ``limit``.

    Raises:
        ValueError: with its size, and what to do instead.
    """
    if (size := 8 * n * n) > limit:
        raise ValueError(
            f"{method}: the {what} of {n:,} coordinates takes {amount(size)}, and memory_limit is {amount(limit)}; "
            f"raise memory_limit, or take l_bfgs, newton_cg or hessian_free, which keep vectors only"
        )
