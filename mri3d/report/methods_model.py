"""Sentences on the model: what it is, how it was fitted, and how its predictions were calibrated."""

from collections.abc import Mapping, Sequence
from typing import Any

from mri3d.report.elements import score_title
from mri3d.report.references import (
    ADAMW,
    COLE,
    DENSENET,
    EFFICIENTNET,
    LIBSVM,
    ONE_CYCLE,
    PLATT,
    RESNET,
    SFCN,
    TEMPERATURE,
    Reference,
    Sentence,
)
from mri3d.report.run_facts import RunFacts, and_text, range_text, setting_text
from mri3d.texts import as_list, number_text

_OURS = "mri3d.nets."
_MARKS = ("_target_", "_partial_")
_NETWORKS: Mapping[str, tuple[str, tuple[Reference, ...]]] = {
    "SFCN": ("a simple fully convolutional network (SFCN)", (SFCN,)),
    "Seed": ("a convolutional network of large kernels with dense layers at its end", ()),
    "ResNet18": ("a residual network with 18 layers (3D ResNet-18)", (RESNET,)),
    "ResNet50": ("a residual network with 50 layers (3D ResNet-50)", (RESNET,)),
    "DenseNet121": ("a densely connected network (3D DenseNet-121)", (DENSENET,)),
    "EfficientNetB0": ("an EfficientNet (3D EfficientNet-B0)", (EFFICIENTNET,)),
}
_DECISIONS: Mapping[str, tuple[str, tuple[Reference, ...]]] = {
    "Logistic": ("logistic regression with a penalty on the squares of the weights", ()),
    "LinearSVM": ("a linear support vector machine", (LIBSVM,)),
    "RBFSVM": ("a support vector machine with a Gaussian kernel", (LIBSVM,)),
    "KNN": ("the mean of the k nearest training sessions", ()),
    "Ridge": ("least squares with a penalty on the squares of the weights", ()),
}
_INNER_FOLDS = 3  # of a nested evaluation with a grid, unless told
_PARAMETERS = ("C", "gamma", "k", "alpha")
LINEAR = ("Logistic", "LinearSVM", "Ridge")
"""Models of which each voxel has a weight."""

_CHANGES = (
    ("rotate_degrees", "rotated by up to {:g} degrees about each axis"),
    ("scale", "scaled by up to {:.3g} % along each axis"),
    ("shift_voxels", "shifted by up to {:g} voxels along each axis"),
    ("intensity", "changed in contrast by up to {:.3g} % and in brightness by up to {:g}"),
    ("noise", "given Gaussian noise with a standard deviation of up to {:g}"),
    ("gamma", "raised in intensity to a power between 1 / {:g} and {:g}"),
    ("bias_field", "multiplied by a smooth field between exp(-{:g}) and exp({:g})"),
    ("blur", "blurred with a full width at half maximum of up to {:.3g} % of the longest edge"),
    ("slices", "blurred along one axis by up to {:.3g} % of the longest edge"),
)
_OPTIONS = {"lr": "peak learning rate"}
_USUAL = ("devices", "max_epochs", "log_every_n_steps", "enable_model_summary", "enable_progress_bar", "profiler")
_PERCENT = ("scale", "intensity", "blur", "slices")


def model_sentences(facts: RunFacts) -> list[Sentence]:
    """Describe the model and its fit; nothing where its settings are not known."""
    if not facts.kind("model"):
        return []
    found = _network(facts) if facts.is_network else _pipeline(facts)
    found += [*_grid(facts), *_covariates(facts), *_calibration(facts), *_seeds(facts)]
    return found


def _network(facts: RunFacts) -> list[Sentence]:
    """Describe a network and its training."""
    network, target = facts.group("model.network"), str(facts.group("model.network")["_target_"])
    words, cites = _NETWORKS.get(facts.kind("model.network"), ("", ())) if target.startswith(_OURS) else ("", ())
    options = "; ".join(
        f"{name.replace('_', ' ')} {setting_text(value)}" for name, value in network.items() if name not in _MARKS
    )
    found = [Sentence.of(f"The model was {words or f'the network {target}'}{options and f' ({options})'}.", *cites)]
    if words:
        found.append(Sentence.of("Its weights were drawn at random before training; nothing was pre-trained."))
    loss = (
        "cross-entropy, in which each class had the same weight whatever its number of sessions,"
        if facts.outcome.memberships
        else f"the squared error of {facts.outcome.name} in standard deviations of the training sessions"
    )
    return [*found, Sentence.of(f"It was trained to minimise {loss.removesuffix(',')}."), *_training(facts)]


def _training(facts: RunFacts) -> list[Sentence]:
    """Describe optimizer, schedule, length and augmentation."""
    model, trainer, optimizer = facts.group("model"), facts.group("trainer"), facts.group("model.optimizer")
    kind = facts.kind("model.optimizer")
    named = "AdamW" if kind == "adamw" else kind
    options = [
        f"{_OPTIONS.get(key, key.replace('_', ' '))} {setting_text(value)}"
        for key, value in optimizer.items()
        if key not in _MARKS
    ]
    found = [Sentence.of(f"The optimiser was {', '.join([named, *options])}.", *((ADAMW,) if named == "AdamW" else ()))]
    devices, most = trainer.get("devices"), trainer.get("max_epochs")
    schedule = (
        f"Learning rate and momentum followed a one-cycle schedule, with batches of {model['batch_size']} sessions"
    )
    schedule += f" on each of {devices} devices" if isinstance(devices, int) and devices > 1 else ""
    schedule += f", over {number_text(most, 'epoch')}" if isinstance(most, int) and most > 0 else ""
    found += [Sentence.of(f"{schedule}.", ONE_CYCLE), Sentence.of(_stopping(facts))]
    if others := [f"{key} {setting_text(value)}" for key, value in trainer.items() if key not in (*_MARKS, *_USUAL)]:
        found.append(Sentence.of(f"Further options of the trainer were {and_text(others)}."))
    return [*found, *_augmentation(model.get("augmentation"))]


def _stopping(facts: RunFacts) -> str:
    """Say when training stopped, and which weights were kept."""
    patience = facts.group("model").get("patience") or facts.outcome.patience
    epochs = [fold["epochs"] for fold in facts.folds if fold.get("epochs")]
    took = f" ({range_text(epochs)} epochs)" if epochs else ""
    if patience is None:
        return f"Training went on to its end{took}, and the weights of the last epoch were kept."
    return (
        f"Training stopped once the loss of the validation sessions had not improved for {patience} epochs, or at its "
        f"end{took}, and the weights of the epoch with the lowest validation loss were kept."
    )


def _augmentation(given: Mapping[str, Any] | None) -> list[Sentence]:
    """List the random changes of training volumes."""
    if not given:
        return [Sentence.of("Training volumes were not augmented.")]
    changes = []
    for name, text in _CHANGES:
        if size := given.get(name, 0):
            shown = 100 * size if name in _PERCENT else 1 + size if name == "gamma" else size
            changes.append(text.format(shown, size if name == "intensity" else shown))
    told = [f"{and_text(changes)}, each with a probability of {given['probability']:g}"] if changes else []
    told += ["mirrored (left and right exchanged) in every second case"] if given.get("flip") else []
    told += ["inverted in contrast in every second case"] if given.get("inversion") else []
    if not told:
        return [Sentence.of("Training volumes were not augmented.")]
    return [Sentence.of(f"In training, volumes were at random {'; '.join(told)}.")]


def _pipeline(facts: RunFacts) -> list[Sentence]:
    """Describe PCA and what follows it."""
    model, kind = facts.group("model"), facts.kind("model")
    words, cites = _DECISIONS.get(kind, (f"the model {model['_target_']}", ()))
    divided = [
        text
        for name, text in (
            ("normalize", "each volume was divided by its Euclidean norm"),
            ("standardize", "each voxel was divided by its standard deviation over the training sessions"),
        )
        if model.get(name)
    ]
    found = [
        Sentence.of(f"The model was a principal component analysis (PCA) of the voxels, followed by {words}.", *cites),
        Sentence.of("PCA and model were fitted to training and validation sessions together, never to tested ones."),
    ]
    if divided:
        found.append(Sentence.of(f"Before the PCA, {and_text(divided)}."))
    found.append(
        Sentence.of(
            "Scores of components were divided by the root mean square distance of the training volumes from their "
            "mean, so that the parameters below have no unit."
        )
    )
    return [*found, *_parameters(facts)]


def _parameters(facts: RunFacts) -> list[Sentence]:
    """Say which parameters were chosen, among which values and how, and which were fixed."""
    model = facts.group("model")
    tried = {"the number of components": "num_components"} | {name: name for name in _PARAMETERS if name in model}
    tried |= {"the weight of the covariates": "covariate_weight"} if facts.columns("model", "covariates") else {}
    fixed, chosen = list[str](), list[str]()
    for name, key in tried.items():
        values = as_list(model.get(key))
        texts = _components(values) if key == "num_components" else [setting_text(value) for value in values]
        (fixed if len(values) == 1 else chosen).append(f"{name} {', '.join(texts)}")
    found = [Sentence.of(f"These were fixed: {'; '.join(fixed)}.")] if fixed else []
    if chosen:
        how = (
            f"What did best in up to {model['inner_folds']} inner folds of the training sessions, by the mean "
            f"{score_title(facts.outcome.criterion)} of what each held out, was taken"
        )
        found.append(Sentence.of(f"{how}, of these: {'; '.join(chosen)}."))
    return [*found, *_frequencies(facts)]


def _grid(facts: RunFacts) -> list[Sentence]:
    """Say which further options each fold chose; what the configuration says of them does not hold then."""
    grid = facts.group("evaluation").get("grid")
    if not grid:
        return []
    inner = facts.group("evaluation").get("inner_folds") or _INNER_FOLDS
    options = and_text([f"{name} (among {setting_text(values)})" for name, values in grid.items()])
    told = (
        f"In each fold, {options} took the place of what is said above: what did best in {inner} inner folds of its "
        f"training sessions, by the mean {score_title(facts.outcome.criterion)}."
    )
    return [Sentence.of(told), *(_frequencies(facts) if facts.is_network else [])]


def _components(values: Sequence[object]) -> list[str]:
    """Write how many components: a number, those that explain a share of the variance, or all of them.

    >>> _components([0.5, 0.9, None]), _components([20])
    (['as many as explain 50, 90 % of the variance', 'all (no PCA)'], ['20'])
    """
    shares = [f"{100 * value:g}" for value in values if isinstance(value, float)]
    numbers = [str(value) for value in values if isinstance(value, int)]
    return [
        *numbers,
        *([f"as many as explain {', '.join(shares)} % of the variance"] if shares else []),
        *(["all (no PCA)"] if None in values else []),
    ]


def _frequencies(facts: RunFacts) -> list[Sentence]:
    """Say how many fits chose each value."""
    told = [
        f"{name.replace('_', ' ')} {and_text([f'{value} ({count} x)' for value, count in counts.items()])}"
        for name, counts in (facts.metrics.get("chosen") or {}).items()
    ]
    return [Sentence.of(f"Chosen were {'; '.join(told)}.")] if told else []


def _covariates(facts: RunFacts) -> list[Sentence]:
    """Say how columns of the table entered the model."""
    if not facts.columns("model", "covariates"):
        return []
    how = (
        "They were joined with 16 features of the image by a hidden layer, beside a linear model of them alone, with "
        "whose weights training began."
        if facts.is_network
        else "They stood beside the scores of the components."
    )
    return [
        Sentence.of(how),
        Sentence.of(
            "Numbers were standardised by the training sessions, and categories made into columns; what was missing "
            "counted as the mean, with a column that flagged it where training sessions lacked it too."
        ),
    ]


def _calibration(facts: RunFacts) -> list[Sentence]:
    """Say how outputs became probabilities, or values without shrinkage."""
    fits: Sequence[Mapping[str, Any]] = (facts.metrics.get("calibration") or {}).get("fits") or ()
    methods = {fit["method"] for fit in fits}
    found = []
    if "temperature" in methods:
        found.append(
            Sentence.of(
                "Outputs became probabilities by a temperature that was fitted to the validation sessions, and by how "
                "frequent the classes were among training and validation sessions.",
                TEMPERATURE,
            )
        )
    if "sigmoids" in methods:
        found.append(
            Sentence.of(
                "Decisions became probabilities by sigmoids that were fitted to what the inner folds held out.", PLATT
            )
        )
    if "line" in methods or facts.group("model").get("debias"):
        whose = "the validation sessions" if facts.is_network else "what the inner folds held out"
        found.append(
            Sentence.of(
                f"Predictions were corrected for shrinking towards the mean by the line that those of {whose} follow.",
                COLE,
            )
        )
    return found


def _seeds(facts: RunFacts) -> list[Sentence]:
    """Say that each fit was made several times."""
    number = facts.group("evaluation").get("seeds", 1)
    if number == 1:
        return []
    return [
        Sentence.of(f"Each model was fitted {number} times with different seeds, and the mean prediction was taken.")
    ]
