"""Optimizers of descend inside the training loops of others: the same numbers after a stop, a save and a resume.

python examples/clients/run.py                    # every client that is installed
python examples/clients/run.py ignite skorch      # some of them

Each client trains a small network for 8 steps in one go, and again as 4 steps, a checkpoint in the client's own way,
and 4 steps from it: AdamW at a constant rate, AdamW whose rate is a schedule, Schedule-Free AdamW, Muon with its
groups. The parameters must have the same bits, and `param_groups[0]["lr"]` must be a number. Nothing is downloaded.
"""

import importlib.util
import json
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import loops
import torch

from descend.schedules import cosine, linear_warmup
from descend.torch import AdamW, Muon, ScheduleFreeAdamW, muon_groups

STEPS = 8
KINDS = {
    "number": lambda model: AdamW(model.parameters(), lr=0.01),
    "schedule": lambda model: AdamW(model.parameters(), lr=0.01 * (linear_warmup(2) >> cosine(6))),
    "averaging": lambda model: ScheduleFreeAdamW(model.parameters(), lr=0.01),
    "muon": lambda model: Muon(muon_groups(model, show=False)),
}
# client -> what must be installed besides descend
CLIENTS = {
    "trainer": ("transformers", "accelerate"), "lightning": ("lightning",), "accelerate": ("accelerate",),
    "fastai": ("fastai",), "ignite": ("ignite",), "skorch": ("skorch",), "timm": ("timm",),
    "stable_baselines3": ("stable_baselines3",), "peft": ("peft", "transformers"), "ray": ("ray",),
    "optuna": ("optuna",),
}  # fmt: skip


def run(client: str, kind: str) -> str:
    """What a client made of a kind: "ok", "–" where the client has no such thing, or what went wrong."""
    train = getattr(loops, client)
    if kind in getattr(train, "without", ()):
        return "–"
    with tempfile.TemporaryDirectory() as folder:
        try:
            whole = train(KINDS[kind], 0, STEPS, Path(folder, "whole"))
            train(KINDS[kind], 0, STEPS // 2, Path(folder, "parts"))
            parts = train(KINDS[kind], STEPS // 2, STEPS, Path(folder, "parts"))
        except Exception as error:
            traceback.print_exc()
            return f"{type(error).__name__}: {error}"
    for opt in (whole[1], parts[1]):
        json.dumps([group["lr"] for group in opt.param_groups])
    if kind == "schedule" and whole[1].param_groups[0]["lr"] != 0:
        return f"the rate at the end is {whole[1].param_groups[0]['lr']}, not the schedule's 0"
    return "ok" if all(map(torch.equal, whole[0], parts[0])) else "other numbers after resuming"


def main(clients: list[str]) -> dict[str, dict[str, str]]:
    """Client -> kind -> what ``run`` says."""
    found = {}
    for client in clients or [name for name, needs in CLIENTS.items() if all(map(importlib.util.find_spec, needs))]:
        found[client] = {kind: run(client, kind) for kind in KINDS}
        print(client, found[client], flush=True)
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    results = main(sys.argv[1:])
    sys.exit(any(said not in ("ok", "–") for kinds in results.values() for said in kinds.values()))
