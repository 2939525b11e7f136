"""The few lines that train as was chosen: torch alone where torch has the rule, else this library's class."""

TORCH = {  # rule -> torch's class and the arguments by which it is that rule
    "adamw": ("AdamW", ""),
    "nadamw": ("NAdam", ", weight_decay=0.01, decoupled_weight_decay=True"),
    "nesterov_accumulation": ("SGD", ", momentum=0.9, nesterov=True"),
    "momentum_accumulation": ("SGD", ", momentum=0.9"),
    "gradient_descent": ("SGD", ""),
    "adam": ("Adam", ""),
    "rmsprop": ("RMSprop", ""),
    "adagrad": ("Adagrad", ""),
}
FALLING = {
    "linear": "(steps - t) / (steps - warmup)",
    "cosine": "0.5 + 0.5 * math.cos(math.pi * (t - warmup) / (steps - warmup))",
}


def lines(rule: str, lr: float, schedule: str, steps: int, warmup: int) -> str:
    """Python that makes the optimizer and its schedule for `model`; the scheduler steps after every step."""
    if rule not in TORCH:
        from ...rules.names import class_name

        name = class_name(rule)
        imports = f"from descend import schedules\nfrom descend.torch import {name}\n"
        if "+" in rule:
            name = f"descend.torch.optimizer({rule!r})"
            imports = "import descend.torch\nfrom descend import schedules\n"
        return (
            f"{imports}\nlr = {lr!r} * (schedules.linear_warmup({warmup}, start={1 / warmup!r}) "
            f">> schedules.{schedule}({steps - warmup}))\n"
            f"optimizer = {name}(model.parameters(), lr=lr)\n"
        )
    name, arguments = TORCH[rule]
    imports = "import math\n\nimport torch\n" if "math" in FALLING[schedule] else "import torch\n"
    return (
        f"{imports}\nsteps, warmup = {steps}, {warmup}\n"
        f"optimizer = torch.optim.{name}(model.parameters(), lr={lr!r}{arguments})\n"
        f"scheduler = torch.optim.lr_scheduler.LambdaLR(\n"
        f"    optimizer, lambda t: (1 + (warmup - 1) * t / warmup) / warmup if t < warmup else {FALLING[schedule]}\n"
        f")  # scheduler.step() after every optimizer.step()\n"
    )
