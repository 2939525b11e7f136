"""What a table says of a path, on a terminal and on a page."""

from .paths import Path

HEAD = ("rule", "lr", "there at step", "ends at", "height", "")


def row(path: Path) -> list[str]:
    """What the table says of a path."""
    if path.diverged is not None:
        said = [f"diverged at step {path.diverged}"]
    else:
        said = [] if path.reached is not None else [f"{path.distance[-1]:.2g} from a minimum"]
        said += ["outside the frame"] * (path.left is not None)
    said += ["the rate is at the edge of the grid"] * path.on_edge
    said += [f"a point is no matrix: steps as {path.stepped_as}"] * bool(path.stepped_as)
    gone = path.diverged is not None
    end = "–" if gone else f"({', '.join(f'{round(x, 4) + 0.0:g}' for x in path.points[-1].tolist())})"
    height = "–" if gone else f"{path.heights[-1]:.3g}"
    reached = "–" if path.reached is None else str(path.reached)
    return [path.rule, "–" if path.lr is None else f"{path.lr:g}", reached, end, height, "; ".join(said)]
