"""The batches of an epoch, held against what the trainer is told to do with them."""

from collections.abc import Mapping

from mri3d.errors import UserError, option
from mri3d.models.network.trainer import TrainerMaker


def check_batches(make: TrainerMaker, num_batches: Mapping[str, int]) -> None:
    """Refuse limits that leave no batch of those that there are, which Lightning would find once it trains.

    Args:
        make: The Trainer with the user's arguments bound.
        num_batches: Of each process in an epoch, `train` and `val`.

    Raises:
        UserError: A limit leaves none, or validation would never come.
    """
    settings = getattr(make, "keywords", {})
    for name, number in num_batches.items():
        limit = settings.get(f"limit_{name}_batches", 1.0)
        if isinstance(limit, float) and int(number * limit) == 0:
            raise UserError(
                f"the trainer cannot train as it is set: {option(f'trainer.limit_{name}_batches', limit)} leaves none "
                f"of the {number} {name} batches. Leave it out."
            )
    every, limit = settings.get("val_check_interval"), settings.get("limit_train_batches")
    number = num_batches["train"]
    if limit is not None:
        number = min(number, limit) if isinstance(limit, int) else int(number * limit)
    if type(every) is int and every > number and settings.get("check_val_every_n_epoch", 1) is not None:
        raise UserError(
            f"{option('trainer.val_check_interval', every)} is more than the {number} batches of an epoch: there would "
            "be no validation. Leave it out."
        )
