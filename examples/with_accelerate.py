"""Hugging Face accelerate: `prepare` takes optimizer and scheduler as it takes torch's.

pip install accelerate
python examples/with_accelerate.py --epochs 4
"""

import argparse

from accelerate import Accelerator
from digits import digits, network
from torch.nn.functional import cross_entropy

from descend.schedules import cosine, linear_warmup, torch_scheduler
from descend.torch import AdamW
from descend.torch.groups.groups import param_groups


def main(epochs: int = 4) -> tuple[float, float]:
    """Returns the loss of the first and of the last step."""
    _, loader = digits(batch_size=32)
    model = network()
    every = 2
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=every)
    opt = AdamW(param_groups(model, weight_decay=0.05, lr=0.01, lr_scale={"3": 0.5}))
    steps = epochs * -(-len(loader) // every)
    # relative: the groups keep their ratio. `AdamW(lr=schedule)` needs no scheduler at all; this is for loops that do.
    scheduler = torch_scheduler(opt, linear_warmup(steps // 10) >> cosine(steps - steps // 10), relative=True)
    model, opt, loader, scheduler = accelerator.prepare(model, opt, loader, scheduler)
    losses = []
    for _ in range(epochs):
        for x, y in loader:
            with accelerator.accumulate(model):
                loss = cross_entropy(model(x), y)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                opt.step()
                scheduler.step()
                opt.zero_grad()
                losses.append(loss.item())
    print("rates at the end:", [f"{group['lr']:.2g}" for group in opt.param_groups])
    return losses[0], sum(losses[-5:]) / 5


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    print("loss: first {:.4f}, last {:.4f}".format(*main(parser.parse_args().epochs)))
