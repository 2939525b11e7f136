"""A plain loop: checks before the run, groups, a schedule as a hyperparameter, accumulated micro-batches.

python examples/plain_loop.py --epochs 4
"""

import argparse

from digits import digits, network
from torch.nn.functional import cross_entropy

from descend.schedules import cosine, linear_warmup
from descend.torch import AdamW
from descend.torch.check.checking import check_gradients, initial_loss, overfit_one_batch
from descend.torch.groups.groups import param_groups
from descend.torch.loop.accumulator import Accumulator


def main(epochs: int = 4) -> tuple[float, float]:
    """Returns the loss of the first and of the last step."""
    _, loader = digits(batch_size=32)
    model = network()
    every = 2
    steps = epochs * -(-len(loader) // every)
    lr = 0.01 * (linear_warmup(steps // 10) >> cosine(steps - steps // 10))
    opt = AdamW(param_groups(model, weight_decay=0.05, lr=lr, lr_scale={"3": 0.5}))

    x, y = batch = next(iter(loader))
    print(initial_loss(model, cross_entropy, batch, classes=10))
    print(check_gradients(lambda: cross_entropy(model(x), y), model, coordinates=4).sentence)
    print(overfit_one_batch(model, AdamW(model.parameters(), lr=0.01), cross_entropy, batch))

    losses = []
    for epoch in range(epochs):
        with Accumulator(opt, every=every) as acc:  # the last micro-batch has 5 images, and weighs as much
            for x, y in loader:
                if acc.backward(cross_entropy(model(x), y), count=len(x)):
                    losses.append(acc.loss)
        print(f"epoch {epoch}: loss {losses[-1]:.4f}, lr {lr(opt.steps):.2g}")
    return losses[0], losses[-1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    print("loss: first {:.4f}, last {:.4f}".format(*main(parser.parse_args().epochs)))
