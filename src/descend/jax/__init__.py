"""Layer 4: rules as optax gradient transformations.

``descend.jax.adamw(lr=3e-4)`` is ``transform(rules.adamw, lr=3e-4)``; so for every rule of the catalogue, by its name.
"""

import inspect
from collections.abc import Callable
from typing import Any

try:
    import jax as _jax
    import optax as _optax
except ImportError as error:
    raise ImportError(f"descend.jax needs JAX and optax ({error}); pip install 'descend[jax]'") from error

from ..core.nearest import did_you_mean
from .points import gradient_point, shipped
from .stepper import Stepper
from .transform import RuleState, Transformation, transform

transformation = transform
__all__ = ["RuleState", "Stepper", "Transformation", "gradient_point", "shipped", "transform", "transformation"]
del _jax, _optax


def __getattr__(name: str) -> Callable[..., Transformation]:
    from .. import rules

    if name.startswith("_"):
        raise AttributeError(name)
    try:
        rule = rules.names.find_rule(name)
    except rules.UnknownRule:
        raise AttributeError(f"descend.jax has no {name!r}.{did_you_mean(name, __dir__())}") from None

    def factory(**settings: Any) -> Transformation:
        return transform(rule, **settings)

    factory.__name__ = factory.__qualname__ = rule.name
    factory.__doc__ = rule.doc
    # optax.inject_hyperparams asks the signature what there is to inject
    factory.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=v) for k, v in rule.settings.items()]
    )
    globals()[name] = factory
    return factory


def __dir__() -> list[str]:
    from .. import rules

    return [*__all__, *rules.all()]
