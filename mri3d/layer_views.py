"""A folder of views of a network's layers, written scan by scan: maps of chosen channels, first kernels, and a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import nibabel as nib
import numpy as np

from mri3d.errors import UserError, option
from mri3d.explain.layers import Cells, Kernels, Layers
from mri3d.files import write_json
from mri3d.models.beside_scans import Beside
from mri3d.models.explaining import SPACES
from mri3d.models.feature_map import FeatureMap, feature_maps
from mri3d.models.scan_prediction import ScanPrediction
from mri3d.models.trained import TrainedModel
from mri3d.report.elements import details, element, heading, picture_sections, table, write_page
from mri3d.report.layer_pictures import ChannelsView, channels_picture, kernels_picture
from mri3d.report.picture import Picture
from mri3d.scans.scan import write_image
from mri3d.scans.scan_file import ScanFile
from mri3d.texts import number_text

MARK = "layers.json"
"""What tells a folder of this command from others."""

NUM_CHANNELS = 8
MAX_PICTURES = 12  # scans of which a layer is drawn
MAX_DRAWN = 8  # channels of a picture
MAX_KERNELS = 96

HEADINGS = ("layer", "type", "output [C, X, Y, Z]", "weights")

READING = (
    "Each channel is drawn over what the network saw of the scan (grey), on three planes through its middle, on a "
    "colour scale of its own, symmetric about 0. Above it stand its number, counted from 0, and its smallest and "
    "largest value. Unless they were named, the channels are those that vary most from cell to cell in the first "
    "scan. What a channel responds to is not what the prediction rests on: mri3d explain shows that."
)


@dataclass(frozen=True, eq=False)
class LayerViews:
    """A folder of views of layers that is written scan by scan.

    Attributes:
        model: The one that is viewed.
        layers: Its layers.
        out: The folder.
        names: Of the layers that are viewed.
        channels: See `view_layers`.
        space: See `view_layers`.
        force: See `view_layers`.
        chosen: By layer, the channels that are written.
        pictures: By layer.
    """

    model: TrainedModel
    layers: Layers
    out: Path
    names: tuple[str, ...]
    channels: int | Sequence[int]
    space: str = SPACES[0]
    force: bool = False
    chosen: dict[str, list[int]] = field(default_factory=dict)
    pictures: dict[str, list[Picture]] = field(default_factory=dict)

    @cached_property
    def cells(self) -> dict[str, Cells]:
        """Where those of each layer lie in a volume.

        Raises:
            UserError: There is no such layer, or it gives no map.
        """
        return {name: self.layers.cells(self.layers.named(name, asked_by="layers")) for name in self.names}

    def check(self) -> None:
        """Refuse layers and channels that are not there, before any scan is read.

        Raises:
            UserError: They are not.
        """
        count = self.channels
        if isinstance(count, int) and (isinstance(count, bool) or count < 1):
            raise UserError(f"{option('channels', count)} is no number of channels. Give 1 or more, or a list.")
        for name in self.cells:
            num_channels = self.layers.shapes[name][0]
            named = () if isinstance(count, int) else count
            wrong = [each for each in named if not 0 <= each < num_channels]
            if wrong:
                raise UserError(
                    f"{option('channels', wrong)}: the layer {name} has {number_text(num_channels, 'channel')}, "
                    f"counted from 0 to {num_channels - 1}."
                )

    def view(self, name: str, file: ScanFile, beside: Beside | None) -> str | None:
        """View the layers for a scan; return why that could not be, if so."""
        found = self.model.predict_scan(name, file, beside=beside, force=self.force)
        if found.prediction is None:
            return "; ".join(found.warnings)
        try:
            for feature_map in feature_maps(self.model, found, self.cells, space=self.space):
                self._one(found, feature_map)
        except (UserError, MemoryError, RuntimeError) as error:
            return " ".join(str(error).split()) or "there is not enough memory."
        return None

    def _one(self, found: ScanPrediction, feature_map: FeatureMap) -> None:
        """Write and draw the map of one layer."""
        layer, variances = feature_map.layer, feature_map.variances
        if layer not in self.chosen:
            strongest = np.argsort(-variances, kind="stable").tolist()
            some = self.channels
            self.chosen[layer] = strongest[:some] if isinstance(some, int) else list(some)
        channels = self.chosen[layer]
        folder = self.out / folder_of(layer)
        feature_map.write(folder / f"{found.name}_features.nii.gz", channels)
        facts = {"scan": found.name, "layer": layer, "channels": channels, "variances": variances[channels].tolist()}
        write_json(folder / f"{found.name}_features.json", facts)
        if len(self.pictures.setdefault(layer, [])) < MAX_PICTURES:
            self.pictures[layer].append(self._picture(found, feature_map))

    def _picture(self, found: ScanPrediction, feature_map: FeatureMap) -> Picture:
        """Draw channels of a layer over the volume that the network saw."""
        assert found.scan is not None, "it was predicted"
        assert found.volume is not None, "it was predicted"
        affine = self.model.require_recipe().affine(found.scan)
        turn = nib.io_orientation(affine)
        drawn = self.chosen[feature_map.layer][:MAX_DRAWN]
        values = [feature_map.values[channel] for channel in drawn]
        spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)[np.argsort(turn[:, 0])]
        view = ChannelsView(
            [nib.apply_orientation(feature_map.cells.in_volume(each), turn) for each in values],
            nib.apply_orientation(found.volume[0], turn),
            spacing_mm,
            [f"{channel}: {each.min():.2g} to {each.max():.2g}" for channel, each in zip(drawn, values, strict=True)],
        )
        caption = f"{found.name}: channels {', '.join(map(str, drawn))} of {feature_map.layer}, with their ranges."
        return channels_picture(view, alt=caption, caption=caption)

    def finish(self, facts: Mapping[str, str], problems: Mapping[str, str]) -> None:
        """Write the kernels and the page."""
        kernels = self.layers.first_kernels()
        sections: list[tuple[str, Sequence[Picture]]] = []
        if kernels is not None:
            write_kernels(self.out / "kernels.nii.gz", kernels)
            sections.append((f"Kernels of the first convolution, {kernels.layer}", [_drawn_kernels(kernels)]))
        sections += [(self._title(name), self.pictures.get(name, [])) for name in self.names]
        body = [heading(f"Layers of {self.layers.kind}", facts)]
        body += [element("p", f"{name}: {problem}", css="caution") for name, problem in problems.items()]
        body += [element("p", READING)] if self.pictures else []
        body += [] if kernels else [element("p", "The network has no 3D convolution, and so no kernels.")]
        body += picture_sections(sections)
        listed = table([each.capitalize() for each in HEADINGS], list(self.layers.rows()), css="numbers")
        body.append(details(f"All layers: {len(self.layers.shapes)}", listed))
        write_page(self.out / "report.html", title=f"Layers of {self.layers.kind}", sections=body)
        of_kernels = None if kernels is None else {"layer": kernels.layer, "output_and_input": kernels.pairs}
        write_json(self.out / MARK, {**facts, "kernels": of_kernels, "channels": self.chosen})

    def _title(self, name: str) -> str:
        """Say what a layer is and gives."""
        num_channels, *sides = self.layers.shapes[name]
        kind = type(self.layers.modules[name]).__name__
        return f"{name} ({kind}): {number_text(num_channels, 'channel')} of {' x '.join(map(str, sides))} cells"


def write_kernels(path: Path, kernels: Kernels) -> None:
    """Write kernels as an image [kX, kY, kZ, D * C]: the input channels of an output channel follow each other.

    Its world is in voxels of the volume, with the middle of a kernel at 0.
    """
    values = np.moveaxis(kernels.weights.reshape(-1, *kernels.weights.shape[2:]), 0, -1)
    affine = np.diag([*kernels.dilation, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(values.shape[:3]) - 1) / 2
    write_image(path, values, affine, description=f"{kernels.layer}: kernels, in voxels of the volume")


def folder_of(layer: str) -> str:
    """Name the folder of a layer's maps: names of the user's own modules may hold anything but dots.

    >>> folder_of("blocks.0"), folder_of("left/right")
    ('blocks.0', 'left%2Fright')
    """
    return quote(layer, safe=" ()[]")


def _drawn_kernels(kernels: Kernels) -> Picture:
    """Draw the first kernels."""
    several = kernels.inputs.shape[1] > 1
    flat = kernels.weights.reshape(-1, *kernels.weights.shape[2:])[:MAX_KERNELS]
    titles = [f"{output}/{of}" if several else f"{output}" for output, of in kernels.pairs[:MAX_KERNELS]]
    told = f"{kernels}: sagittal, coronal and axial slice through the middle of each, on one scale."
    if several:
        told += " Above each: output/input channel, counted from 0."
    if len(flat) < len(kernels.pairs):
        told += f" The first {len(flat)} are drawn; the file has all."
    return kernels_picture(flat, titles, alt=told, caption=told)
