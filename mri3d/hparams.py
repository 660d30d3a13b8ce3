"""A run's row in the table of TensorBoard's tab HParams: its settings beside its test scores."""

import io
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams, scalar

from mri3d.files import as_utf8, write_bytes

PLACE = Path("tensorboard", "result", "events.out.tfevents.result")
"""In the run; a folder of its own, since the scalars of a folder with settings become columns of the table."""

_PARTS = ("data", "preprocess", "model", "trainer", "evaluation")
_PLAIN = ("task", "resolution", "seed")
_OF_THE_MACHINE = ("data.root", "data.table", "data.scan", "data.mask", "evaluation.splits")

Setting = str | float | bool


def write_hparams(
    folder: Path, configuration: Mapping[str, Any], metrics: Mapping[str, Any], *, model_name: str
) -> None:
    """Write the row of a run; that of a run that is gone on with takes its place.

    No row says which columns there are: TensorBoard then takes those of all rows together, whatever the models.

    Args:
        folder: The run directory.
        configuration: Every setting, resolved.
        metrics: The content of metrics.json.
        model_name: What the model is called.

    Raises:
        OSError: It cannot be written.
    """
    now = time.time()
    start = hparams_pb(
        settings_of(configuration) | {"model": model_name},
        trial_id="",  # equal settings would else share a row
        start_time_secs=now - metrics["seconds"]["total"],
    )
    _, _, end = hparams({}, {})  # type: ignore[no-untyped-call]
    scores = [scalar(f"test/{name}", value) for name, value in _scores(metrics)]  # type: ignore[no-untyped-call]
    events = [Event(wall_time=now, file_version="brain.Event:2")]
    events += [Event(wall_time=now, summary=summary) for summary in (start, *scores, end)]
    file = io.BytesIO()
    for event in events:
        RecordWriter(file).write(event.SerializeToString())
    write_bytes(folder / PLACE, file.getvalue())


def settings_of(configuration: Mapping[str, Any]) -> dict[str, Setting]:
    """Flatten the settings that runs may differ in, without where things lie on this machine.

    A class stands by its own name, a list as text; what is null is left out.

    >>> settings_of({"model": {"_target_": "mri3d.models.network.cnn.CNN", "patience": None}, "seed": 0, "name": "a"})
    {'seed': 0, 'model': 'CNN'}
    """
    plain = {key: configuration[key] for key in _PLAIN if key in configuration}
    trained = "network" in configuration.get("model", {})  # others are fitted without the trainer
    parts = [each for part in _PARTS if trained or part != "trainer" for each in _flat(configuration.get(part), part)]
    found = [*((key, _cell(value)) for key, value in plain.items() if value is not None), *parts]
    return {key: value for key, value in found if key not in _OF_THE_MACHINE and not _is_path(value)}


def _flat(value: object, key: str) -> Iterator[tuple[str, Setting]]:
    """Yield the settings in a part of a configuration, each with its path."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "_target_":
                yield key, str(item).rpartition(".")[2]
            elif name != "_partial_":
                yield from _flat(item, f"{key}.{name}")
    elif value is not None:
        yield key, _cell(value)


def _cell(value: object) -> Setting:
    """Return a value as a cell of the table holds it: a number, true or false, or text."""
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return as_utf8(text).decode()


def _is_path(value: Setting) -> bool:
    """Return whether a text is a place on this machine, as an argument of a network of the user's own may be."""
    return isinstance(value, str) and value.startswith(("/", "~/"))


def _scores(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield each test score that is defined, and the ends of its interval as `<score>_low` and `<score>_high`."""
    for name, score in metrics["test"].items():
        for part, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
            if score.get(part) is not None:
                yield f"{name}{ending}", score[part]
