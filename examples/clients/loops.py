"""One training loop per client: ``loop(make, first, last, folder)`` trains the steps from ``first`` to ``last``.

It begins with what it has saved in ``folder`` unless ``first`` is 0, saves at the end, and returns parameters and
optimizer. ``make`` gets the model and returns its optimizer.
"""

import sys
import types
from enum import Enum
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def data(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Four rows for every step."""
    x = torch.randn(4 * steps, 4, generator=torch.Generator().manual_seed(1))
    return x, x[:, :2].tanh()


def loader(first: int, last: int):
    x, y = data(last)
    rest = torch.utils.data.TensorDataset(x[4 * first :], y[4 * first :])
    return torch.utils.data.DataLoader(rest, batch_size=4)


def parameters(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


class WithLoss(nn.Module):
    """A network that returns its loss, as transformers' do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x, y):
        return {"loss": nn.functional.mse_loss(self.net(x), y)}


def trainer(make, first, last, folder):
    from transformers import Trainer, TrainingArguments

    model = WithLoss()
    opt = make(model)
    x, y = data(8)
    rows = [{"x": a, "y": b} for a, b in zip(x, y, strict=True)]
    arguments = TrainingArguments(
        str(folder), max_steps=last, per_device_train_batch_size=4, save_steps=4, logging_steps=1, use_cpu=True,
        report_to="none", disable_tqdm=True, remove_unused_columns=False, lr_scheduler_type="constant",
    )  # fmt: skip
    worker = Trainer(model, arguments, train_dataset=rows, optimizers=(opt, None))
    worker.train(resume_from_checkpoint=str(folder / f"checkpoint-{first}") if first else None)
    return parameters(model), opt


def lightning(make, first, last, folder):
    import lightning
    from lightning.pytorch.callbacks import LearningRateMonitor
    from lightning.pytorch.loggers import CSVLogger

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch, _):
            return nn.functional.mse_loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return make(self)

    model = Module()
    worker = lightning.Trainer(
        max_epochs=last // 4, accelerator="cpu", logger=CSVLogger(folder), callbacks=[LearningRateMonitor("step")],
        log_every_n_steps=1, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    worker.fit(model, loader(0, 4), ckpt_path=folder / "saved.ckpt" if first else None)
    worker.save_checkpoint(folder / "saved.ckpt")
    return parameters(model), worker.optimizers[0]


def accelerate(make, first, last, folder):
    from accelerate import Accelerator

    worker, model = Accelerator(cpu=True), network()
    model, opt, batches = worker.prepare(model, make(model), loader(first, last))
    if first:
        worker.load_state(folder)
    for x, y in batches:
        opt.zero_grad()
        worker.backward(nn.functional.mse_loss(model(x), y))
        opt.step()
    worker.save_state(folder)
    return parameters(model), opt.optimizer


def fastai(make, first, last, folder):
    stand_in_for_torchvision()
    from fastai.basics import DataLoaders, Learner, OptimWrapper

    model = network()
    folder.mkdir(exist_ok=True)
    batches = DataLoaders(loader(first, last), loader(first, last))
    worker = Learner(
        batches, model, loss_func=nn.functional.mse_loss, path=folder, lr=0.01,
        opt_func=lambda _params, **_settings: OptimWrapper(opt=make(model)),
    )  # fmt: skip
    worker.create_opt()
    if first:
        worker.load("saved", with_opt=True)
    with worker.no_logging():
        worker.fit(1, reset_opt=False)
    worker.save("saved", with_opt=True)
    return parameters(model), worker.opt.opt


fastai.without = ("schedule",)  # its fit() writes a rate of its own, which ends a schedule


def ignite(make, first, last, folder):
    from ignite.engine import Events, create_supervised_trainer
    from ignite.handlers import Checkpoint, DiskSaver

    model = network()
    opt = make(model)
    worker = create_supervised_trainer(model, opt, nn.functional.mse_loss)
    kept = {"model": model, "opt": opt}
    if first:
        Checkpoint.load_objects(kept, torch.load(next(folder.glob("*.pt")), weights_only=True))
    saver = Checkpoint(kept, DiskSaver(folder, create_dir=True, require_empty=False), n_saved=1)
    worker.add_event_handler(Events.COMPLETED, saver)
    worker.run(loader(first, last), max_epochs=1)
    return parameters(model), opt


def skorch(make, first, last, folder):
    from skorch import NeuralNetRegressor

    class Net(NeuralNetRegressor):
        def initialize_optimizer(self, *_args, **_settings):
            self.optimizer_ = make(self.module_)
            return self

    net = Net(network(), max_epochs=1, batch_size=4, train_split=None, iterator_train__shuffle=False, verbose=0)
    net.initialize()
    folder.mkdir(exist_ok=True)
    files = {"f_params": folder / "params.pt", "f_optimizer": folder / "optimizer.pt"}
    if first:
        net.load_params(**files)
    x, y = data(last)
    net.partial_fit(x[4 * first :], y[4 * first :])
    net.save_params(**files)
    return parameters(net.module_), net.optimizer_


def timm(make, first, last, folder):
    """Its cosine with warm-up writes the rates of the groups."""
    stand_in_for_torchvision()
    from timm.scheduler import CosineLRScheduler

    model = network()
    opt = make(model)
    scheduler = CosineLRScheduler(opt, t_initial=8, warmup_t=2, warmup_lr_init=1e-4, t_in_epochs=False)
    return by_hand(model, opt, first, last, folder, {"scheduler": scheduler}, scheduler.step_update)


timm.without = ("schedule",)  # one of two must rule: give lr a number under a scheduler of timm


def stable_baselines3(make, first, last, folder):
    import gymnasium
    from stable_baselines3 import A2C

    class Corridor(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (2,))
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            self.at = 0
            return self.observation_space.low * 0, {}

        def step(self, action):
            self.at += 1
            return self.observation_space.low * 0 + self.at / 10, float(action), self.at == 10, False, {}

    class Made:
        """The class that A2C is given: it makes the optimizer of the policy's parameters, at A2C's rate."""

        def __new__(cls, params, lr):
            return make(types.SimpleNamespace(parameters=lambda: params))

    folder.mkdir(exist_ok=True)
    if first:
        worker = A2C.load(folder / "saved", Corridor(), custom_objects={"policy_kwargs": {"optimizer_class": Made}})
    else:
        worker = A2C(
            "MlpPolicy", Corridor(), policy_kwargs={"optimizer_class": Made}, seed=0, n_steps=5, learning_rate=0.01
        )
    for at in range(first, last, 4):  # neither the game nor the generators are in what it saves: both begin anew
        worker.set_env(Corridor())
        worker.set_random_seed(at)
        worker.learn(20, reset_num_timesteps=not at)
    worker.save(folder / "saved")
    return parameters(worker.policy), worker.policy.optimizer


# it writes its own rate before every step, so a schedule of lr goes to its learning_rate; it names no parameters
stable_baselines3.without = ("schedule", "muon")


def peft(make, first, last, folder):
    import peft
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=50, num_key_value_heads=2, **size))
    model = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    opt = make(model)
    if first:
        peft.set_peft_model_state_dict(model, peft.load_peft_weights(folder))
        opt.load_state_dict(torch.load(folder / "opt.pt", weights_only=True))
    for k in range(first, last):
        tokens = torch.arange(k, k + 8)[None]
        opt.zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        opt.step()
    model.save_pretrained(folder)
    torch.save(opt.state_dict(), folder / "opt.pt")
    return parameters(model), opt


def ray(make, first, last, folder):
    """An actor that lives in a process of its own, and sends its optimizer home."""
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)

    @ray.remote
    class Worker:
        def train(self):
            model = network()
            return by_hand(model, make(model), first, last, folder)

    return ray.get(Worker.remote().train.remote())


def optuna(make, first, last, folder):
    """A trial that notes and reports the rate, which must be a number to its storage."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = []

    def objective(trial):
        model = network()
        opt = make(model)
        trial.set_user_attr("lr", opt.param_groups[0]["lr"])
        made.append(by_hand(model, opt, first, last, folder))
        trial.report(opt.param_groups[0]["lr"], last)
        return float(sum(p.square().sum() for p in made[-1][0]))

    optuna.create_study().optimize(objective, n_trials=1)
    return made[-1]


def by_hand(model, opt, first, last, folder: Path, more=None, after=lambda step: None):
    """The plain loop, for clients that bring none."""
    folder.mkdir(exist_ok=True)
    kept = {"model": model, "opt": opt, **(more or {})}
    if first:
        for name, saved in torch.load(folder / "saved.pt", weights_only=True).items():
            kept[name].load_state_dict(saved)
    for k, (x, y) in enumerate(loader(first, last), first):
        opt.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        opt.step()
        after(k + 1)
    torch.save({name: thing.state_dict() for name, thing in kept.items()}, folder / "saved.pt")
    return parameters(model), opt


def stand_in_for_torchvision() -> None:
    """fastai and timm import it, and nothing of it is used here; where there is none, names without content do."""
    if find_spec("torchvision") is not None:
        return

    def named(name):
        """Something that can be inherited from; of what lists ways to interpolate, a list."""
        ways = ["NEAREST", "BILINEAR", "BICUBIC", "BOX", "HAMMING", "LANCZOS"]
        return Enum(name, ways) if name.endswith("Mode") else type(name, (), {})

    class Module(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return named(name)

    parts = ("", ".transforms", ".transforms.functional", ".ops", ".ops.misc", ".datasets", ".datasets.folder",
             ".models", ".models.feature_extraction", ".utils", ".io")  # fmt: skip
    for part in parts:
        module = Module(f"torchvision{part}")
        module.__spec__, module.__version__ = ModuleSpec(module.__name__, None, is_package=True), "0.0"
        module.__path__ = []
        sys.modules[module.__name__] = module
        above, _, name = module.__name__.rpartition(".")
        if above:
            setattr(sys.modules[above], name, module)
