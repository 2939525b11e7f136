"""The few lines that train as was chosen: torch alone where torch has the rule, else this library's class."""

from ...rules.names import class_name, find_rule

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


# what `descend.torch.param_groups` spares, but for what a model of timm names itself
GROUPS = """norms = {id(p) for m in model.modules() if any("norm" in k.__name__.lower() for k in type(m).__mro__)
         for p in m.parameters(recurse=False)}
groups = [{"params": []}, {"params": [], "weight_decay": 0.0}]  # biases and norms do not decay
for name, p in model.named_parameters():
    last = name.rpartition(".")[2]
    spared = id(p) in norms or last.startswith("bias_") or f"_{last}".endswith("_bias")
    if p.requires_grad:
        groups[spared]["params"].append(p)
"""


def decays(rule: str) -> bool:
    """Whether a rule decays weights, so that its biases and norms are to be spared."""
    found = find_rule(rule)
    return any("weight_decay" in part.settings for part in found.stages or (found,))


def lines(rule: str, lr: float, schedule: str, steps: int, warmup: int) -> str:
    """Python that makes the optimizer and its schedule for `model`; the scheduler steps after every step."""
    if rule not in TORCH:
        name = class_name(rule)
        imports, of = f"from descend.torch import {name}", ""
        if "+" in rule:
            name, imports, of = f"descend.torch.optimizer({rule!r})", "import descend.torch", "descend.torch."
        parameters = "model.parameters()"
        if decays(rule):
            imports += "" if of else ", param_groups"
            parameters = f"{of}param_groups(model, show=False)"
        imports = sorted([imports, "from descend import schedules"], key=lambda line: (line.startswith("from"), line))
        return (
            f"{imports[0]}\n{imports[1]}\n\n"
            f"lr = {lr!r} * (schedules.linear_warmup({warmup}, start={1 / warmup!r}) "
            f">> schedules.{schedule}({steps - warmup}))\n"
            f"optimizer = {name}({parameters}, lr=lr)\n"
        )
    name, arguments = TORCH[rule]
    imports = "import math\n\nimport torch\n" if "math" in FALLING[schedule] else "import torch\n"
    return (
        f"{imports}\nsteps, warmup = {steps}, {warmup}\n{GROUPS if decays(rule) else ''}"
        f"optimizer = torch.optim.{name}({'groups' if decays(rule) else 'model.parameters()'}, lr={lr!r}{arguments})\n"
        f"scheduler = torch.optim.lr_scheduler.LambdaLR(\n"
        f"    optimizer, lambda t: (1 + (warmup - 1) * t / warmup) / warmup if t < warmup else {FALLING[schedule]}\n"
        f")  # scheduler.step() after every optimizer.step()\n"
    )
