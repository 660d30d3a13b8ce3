"""A network and scans in; what its layers compute of each, and the kernels that meet voxels first, out."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mri3d.errors import UserError, option
from mri3d.explain.layers import Layers
from mri3d.layer_views import HEADINGS, MARK, NUM_CHANNELS, LayerViews
from mri3d.model_places import check_own
from mri3d.models.explaining import SPACES
from mri3d.models.loading import load
from mri3d.models.trained import TrainedModel
from mri3d.nets.summary import aligned
from mri3d.scans.listing import find_scans, scan_by_scan
from mri3d.scans.scan_file import ScanFile

log = logging.getLogger(__name__)


def view_layers(
    model: Path,
    scans: Sequence[str],
    out: Path,
    *,
    layers: Sequence[str] = (),
    channels: int | Sequence[int] = NUM_CHANNELS,
    space: str = SPACES[0],
    table: object = None,
    id: object = None,
    mask: object = None,
    force: bool = False,
    trust: str | Sequence[str] = (),
) -> int:
    """View layers; leave `<layer>/<scan>_features.nii.gz` with a sidecar, `kernels.nii.gz`, `report.html`.

    One bad scan never stops the others. Maps lie on the grid of the layer's own cells, in the world of the scan.

    Args:
        model: A run, its `model` folder, or one fold's folder; of several folds the first one's model is viewed.
        scans: Files, globs, folders (searched through) or BIDS roots; none for the kernels alone.
        out: Folder for the results, see `model_places.check_own`.
        layers: Their names; those of `Layers.usual` unless given.
        channels: How many of each layer: those that vary most over the first scan, which are the same for all scans;
            or their numbers, counted from 0.
        space: "scan" for each scan's world; of a model that aligns brains also "mni".
        table: Of a model with covariates: what is known of each scan.
        id: Column of the table that names its rows, or several.
        mask: Of a model of brains: what masks of them are called, `{id}` being the scan's name.
        force: View scans too that are outside of what the model was trained on.
        trust: Dotted names of networks of the user's own that may be imported.

    Returns:
        Exit status: 0, or 1 if a scan could not be viewed.

    Raises:
        UserError: No model, no network, no scans, no such layers or channels, or `out` cannot take the results.
    """
    check_own(out, MARK)
    trained = viewed_model(model, trust=trust)
    opened = layers_of(trained)
    names = tuple(dict.fromkeys(layers or (opened.usual if scans else ())))
    views = LayerViews(trained, opened, out, names, channels, space, force)
    views.check()
    files, beside = list[ScanFile](), None
    if scans:
        trained.check_space(space)
        beside = trained.beside(table, id=id)
        files = trained.masked(find_scans(list(scans), suffix=trained.suffix or "T1w"), mask)
    if several := whose(trained):
        log.info("viewed is %s", several)
    problems = scan_by_scan(files, lambda name, file: views.view(name, file, beside))
    views.finish({"model": f"{model}{several and ', '}{several}", "scans": str(len(files))}, problems)
    return int(bool(problems))


def viewed_model(model: Path, *, trust: str | Sequence[str] = ()) -> TrainedModel:
    """Load the model whose layers are viewed: of several folds the first one's, since channels differ between them.

    Raises:
        UserError: There is no model, or it is no network.
    """
    trained = load(model, trust=trust)
    if trained.members[0].model.layers is None:
        raise UserError(
            f"{model} holds no network: models of principal components have no layers. The command pca shows their "
            "components."
        )
    return replace(trained, members=trained.members[:1])


def layers_of(trained: TrainedModel) -> Layers:
    """Return the layers of a viewed model."""
    layers = trained.members[0].model.layers
    assert layers is not None, "see viewed_model"
    return layers


def whose(trained: TrainedModel) -> str:
    """Say which of several folds' models is viewed, see `viewed_model`; nothing of a single one."""
    card = trained.members[0].card
    return f"the model of fold {card.fold} of {card.num_folds}, counted from 0" if card.num_folds > 1 else ""


def layer_table(trained: TrainedModel) -> str:
    """List all layers: name, type, output and weights; a star for those that are viewed unless others are named."""
    opened = layers_of(trained)
    usual, kernels = opened.usual, opened.first_kernels()
    rows = [(name + " *" * (name in usual), *rest) for name, *rest in opened.rows()]
    told = [f"* viewed unless {option('layers')} names others"]
    told += [] if kernels is None else [f"first convolution: {kernels.layer}, {kernels}"]
    told += [f"of {several}" for several in [whose(trained)] if several]
    return "\n".join([*aligned([HEADINGS, *rows]), *told])
