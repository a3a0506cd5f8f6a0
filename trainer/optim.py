"""Adam or AdamW with warm-up, the plateau rule or a cosine, and the rules for stopping (IV-A)."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from trainer.training_config import OptimConfig, ScheduleConfig


def build_adam(parameters: list[nn.Parameter], config: OptimConfig) -> torch.optim.Adam:
    """Return Adam or AdamW over the parameters. Weight decay of Adam is L2, as in the authors' release.

    On a CPU, one fused pass updates a parameter and its moments; the plain form has a pass through memory for
    each operation. On CUDA, the fused form has not been measured and is not used. With `config.graphed` on
    CUDA, rate and step count are on the device.
    """
    in_graph = config.graphed and parameters[0].is_cuda
    lr = torch.tensor(config.lr, device=parameters[0].device) if in_graph else config.lr
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(
        parameters, lr=lr, weight_decay=config.weight_decay, capturable=in_graph,
        fused=parameters[0].device.type == "cpu" or None,
    )  # fmt: skip


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def step(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], clip_norm: float) -> None:
    """Take one step of the optimizer, and clear the gradients.

    Args:
        optimizer: Optimizer of `parameters`.
        parameters: Parameters with their gradients.
        clip_norm: Largest norm of the gradient over all parameters; 0 for no limit.
    """
    if clip_norm > 0:
        nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def warmed_up(lr: float, steps_done: int, warmup_steps: int) -> float:
    """Return the rate of the next step, which rises linearly during warm-up.

    Args:
        lr: Rate after warm-up.
        steps_done: Steps of the run so far.
        warmup_steps: Length of the warm-up; 0 for none.
    """
    return lr * min(1.0, (steps_done + 1) / warmup_steps) if warmup_steps else lr


def annealed(lr: float, min_lr: float, steps_done: int, warmup_steps: int, num_steps: int) -> float:
    """Return the rate of the next step of a cosine after a linear warm-up.

    Args:
        lr: Rate after warm-up.
        min_lr: Rate of the last step.
        steps_done: Steps of the run so far.
        warmup_steps: Length of the warm-up; 0 for none.
        num_steps: Steps of the whole run.
    """
    if steps_done < warmup_steps:
        return warmed_up(lr, steps_done, warmup_steps)
    share = min(1.0, (steps_done + 1 - warmup_steps) / max(1, num_steps - warmup_steps))
    return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * share)) / 2


@dataclass(kw_only=True)
class Progress:
    """State of the schedule, which `after_epoch` updates.

    Attributes:
        lr: Rate without warm-up.
        best_loss: Validation loss at `best_epoch`.
        bad_epochs: Epochs without improvement since then, or since the last reduction of the rate.
        overfit_epoch: First epoch with a training accuracy above `overfit_accuracy`; 0 for none yet.
        best_chosen: Value of `schedule.select` at `best_epoch`.
    """

    lr: float
    best_loss: float = float("inf")
    best_epoch: int = 0
    bad_epochs: int = 0
    overfit_epoch: int = 0
    best_chosen: float = 0.0

    def after_epoch(
        self,
        epoch: int,
        validation_loss: float,
        train_accuracy: float,
        config: ScheduleConfig,
        *,
        chosen: float = 0.0,
    ) -> bool:
        """Update the state with the results of an epoch (IV-A).

        Args:
            epoch: Its number, from 1.
            validation_loss: Ungated class-contrastive loss of the validation clips.
            train_accuracy: Fraction of training clips classified correctly, 0 to 1.
            config: The schedule.
            chosen: WAR or UAR of the validation clips if `schedule.select` names it; of equal values, that
                with the lower loss is better. Without meaning for ``loss``.

        Returns:
            Whether the epoch is the best one so far.
        """
        if train_accuracy > config.overfit_accuracy and not self.overfit_epoch:
            self.overfit_epoch = epoch
        if self._is_better(validation_loss, chosen, config):
            self.best_loss, self.best_epoch, self.bad_epochs = validation_loss, epoch, 0
            self.best_chosen = chosen
            return True
        self.bad_epochs += 1
        if self.bad_epochs == config.plateau_patience and config.decay == "plateau":
            self.lr *= config.plateau_factor
            self.bad_epochs = 0
        return False

    def _is_better(self, validation_loss: float, chosen: float, config: ScheduleConfig) -> bool:
        if config.select == "loss" or not self.best_epoch:
            return validation_loss < self.best_loss
        return (-chosen, validation_loss) < (-self.best_chosen, self.best_loss)

    def stop_reason(self, epoch: int, steps_done: int, config: ScheduleConfig) -> str:
        """Return why training ends after an epoch; empty if it does not.

        Args:
            epoch: Its number, from 1.
            steps_done: Steps of the run so far.
            config: The schedule.
        """
        named = config.select.upper()
        if config.max_steps and steps_done >= config.max_steps:
            return f"schedule.max_steps={config.max_steps} reached"
        if self.lr < config.min_lr:
            return f"converged: learning rate {self.lr:.1e} under schedule.min_lr={config.min_lr:.0e}"
        if config.stop_patience and epoch - self.best_epoch >= config.stop_patience:
            what = "lower validation loss" if config.select == "loss" else f"better validation {named}"
            return f"no {what} for {config.stop_patience} epochs"
        return f"schedule.max_epochs={config.max_epochs} reached" if epoch >= config.max_epochs else ""
