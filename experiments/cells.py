"""A method, a category and a seed in; a cell, which is one run: its configuration and the name of its result, out.

Results are kept in a folder: `KEY.json` (metrics, resolved configuration, versions, commit, duration) and `KEY.npz`
(labels, tree and the like), where KEY is a hash of the configuration and of the data and weights that it names.
"""

import hashlib
import json
import re
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field, replace
from inspect import Parameter, signature
from pathlib import Path
from pydoc import locate
from typing import Any
from zipfile import BadZipFile

import numpy as np
import yaml

from anomaly_clustering.mic.module import MIC
from anomaly_clustering.system.files import whole_file
from anomaly_clustering.system.replacing import remove_file
from baselines import Prototypes
from experiments.agreement import agree, without_incidental
from experiments.categories import Category, data_config, fingerprint, weights_digest
from experiments.compute import Outcome, resolve
from experiments.methods import REPOSITORY, Method
from experiments.reading import lacks

# Options of trained methods that are the Trainer's.
TRAINER = ("max_epochs", "max_time", "precision")


@dataclass(frozen=True)
class Settings:
    """What all cells of a command share.

    Args:
        last_layer: what 'last' means for `backbone`, whose weights may end early.
        cache: where MIC keeps features and nearest patches, for cells that share them.
        preset: of methods that are trained: 'small_data' takes `scan_small_data.yaml` in place of `scan.yaml`.
        trained: arguments of these methods, each for those that know it, or as 'SCAN.backbone' for one, and as
            'max_epochs@MTD' on one category; those of `TRAINER` are the Trainer's.
    """

    data_root: Path | None = None
    synthetic: bool = False
    backbone: str = "wide_resnet50_2.racm_in1k"
    checkpoint: Path | None = None
    image_size: int = 256
    num_workers: int = 0
    tau: float | None = None
    last_layer: str = "last"
    resamples: int = 0
    cache: Path | None = None
    preset: str = ""
    trained: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tells the files of tables and figures of one setting from those of another."""
        weights = self.checkpoint.stem if self.checkpoint else ""
        layer = self.last_layer if self.last_layer != "last" else ""
        size = f"{self.image_size}px" if self.image_size != 256 else ""
        tau = f"tau{self.tau:g}" if self.tau is not None else ""
        trained = _digest(self.trained)[:6] if self.trained else ""
        parts = ["synthetic" * self.synthetic, self.backbone, weights, layer, size, tau, self.preset, trained]
        return re.sub(r"[^\w.-]", "_", "-".join(filter(None, parts)))


@dataclass(frozen=True, eq=False)
class Cell:
    """One run."""

    method: str
    category: Category
    seed: int
    config: dict[str, Any]
    key: str

    def __str__(self) -> str:
        return f"{self.method}, {self.category}, seed {self.seed}"


def cell(name: str, method: Method, category: Category, seed: int, settings: Settings) -> Cell:
    """The run of a method on a category.

    Raises:
        FileNotFoundError: the file of weights does not exist.
    """
    config = yaml.safe_load(file_of(method, settings).read_text(encoding="utf-8"))
    settings = replace(settings, trained=_on(category, settings.trained))
    model = config["model"]
    own = model.get("init_args") or {}
    model["init_args"] = {**own, **_shared(model["class_path"], seed, settings), **_of_row(method, settings)}
    if trainer := _of_trainer(model["class_path"], settings):
        config["trainer"] = {**(config.get("trainer") or {}), **trainer}
    if model["init_args"].get("layer") == "last" and model["init_args"].get("backbone") == settings.backbone:
        model["init_args"]["layer"] = settings.last_layer
    data = data_config(category, settings.data_root, image_size=settings.image_size, num_workers=settings.num_workers)
    data["init_args"] |= (config.get("data") or {}).get("init_args", {}) | dict(method.data.get(category.dataset, {}))
    if category.left_out:
        # Another seed is another split.
        options = {"whole": data, "left_out": category.left_out, "split": seed}
        data = {"class_path": "experiments.left_out.LeftOut", "init_args": options}
    config |= {"data": data, "seed_everything": seed}
    resolve(config)  # Fails here, before any work, if an argument is unknown.
    return Cell(name, category, seed, config, _key(config, category, settings))


def _of_row(method: Method, settings: Settings) -> dict[str, Any]:
    """Arguments of a row. A tau that was asked for takes the place of one that is chosen by how many patches count."""
    chosen = ("effective_patches",) if settings.tau is not None else ()
    return {name: value for name, value in method.options.items() if name not in chosen}


def follows_tau(method: Method) -> bool:
    """Whether a row follows a tau that was asked for, and has none of its own, as those of figures over tau have."""
    file = REPOSITORY / method.config
    return "tau" not in method.options and file.is_file() and locate(class_of(file)) in (MIC, Prototypes)


def _shared(class_path: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Arguments of MIC, and of what is trained on its regions; modules of other classes have their own."""
    kind = locate(class_path)
    if kind not in (MIC, Prototypes):
        return _given(class_path, _parameters(class_path), settings)
    options: dict[str, Any] = {"backbone": settings.backbone, "seed": seed}
    if settings.checkpoint:
        options["checkpoint"] = str(settings.checkpoint)
    if settings.cache:
        options["cache"] = str(settings.cache)
    if settings.tau is not None:
        options["tau"] = settings.tau
    if kind is Prototypes:
        return options | _given(class_path, _parameters(class_path), settings)
    if settings.tau is not None:
        options["effective_patches"] = None
    if settings.resamples:
        options["resamples"] = settings.resamples
    return options


def is_mic(class_path: str) -> bool:
    """Whether a class path, of which there are several, is that of MIC."""
    return locate(class_path) is MIC


def _of_trainer(class_path: str, settings: Settings) -> dict[str, Any]:
    return _given(class_path, TRAINER, settings) if not is_mic(class_path) else {}


def _on(category: Category, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Options of trained methods on a category; what is for it alone comes before the rest."""
    given: dict[str, Any] = {}
    for option in sorted(trained, key=lambda option: "@" in option):
        name, _, where = option.partition("@")
        if where in ("", str(category.whole)):
            given[name] = trained[option]
    return given


def _given(class_path: str, names: Container[str], settings: Settings) -> dict[str, Any]:
    """Options of trained methods that are for a class and among `names`; what is for it alone comes before the rest."""
    given: dict[str, Any] = {}
    for option in sorted(settings.trained, key=lambda option: "." in option):
        whose, _, name = option.rpartition(".")
        if name in names and whose in ("", class_path.rpartition(".")[2]):
            given[name] = settings.trained[option]
    return given


def takes(class_path: str, option: str) -> bool:
    """Whether an option, such as 'lr' or 'SCAN.max_epochs@MTD', is one of a class or of its training."""
    whose, _, name = option.partition("@")[0].rpartition(".")
    return name in (*TRAINER, *_parameters(class_path)) and whose in ("", class_path.rpartition(".")[2])


def _key(config: Mapping[str, Any], category: Category, settings: Settings) -> str:
    model = config["model"]
    checkpoint, features = (model["init_args"].get(name) for name in ("checkpoint", "features"))
    identity = {
        **without_incidental(config),
        "model": {**model, "init_args": without_incidental(_unusual(model["class_path"], model["init_args"]))},
        "of": [
            fingerprint(category.whole, settings.data_root),
            weights_digest(Path(checkpoint)) if checkpoint else None,
            *([weights_digest(Path(features))] if isinstance(features, str) and features else []),
        ],
    }
    return _digest(identity)[:16]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _unusual(class_path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Without arguments that are the default anyway: two tables may write the same run in two ways."""
    known = _parameters(class_path)
    return {name: value for name, value in options.items() if name not in known or known[name].default != value}


def _parameters(class_path: str) -> Mapping[str, Parameter]:
    """The parameters of the class's constructor.

    Raises:
        ValueError: there is no such class.
    """
    found = locate(class_path)
    if not isinstance(found, type):
        raise ValueError(f"there is no class {class_path!r}")
    return signature(found).parameters


def file_of(method: Method, settings: Settings) -> Path:
    """Its configuration: of the preset, if there is one."""
    path = REPOSITORY / method.config
    preset = path.with_stem(f"{path.stem}_{settings.preset}")
    return preset if settings.preset and preset.is_file() else path


def class_of(file: Path) -> str:
    """The class path of the module of a configuration."""
    path: str = yaml.safe_load(file.read_text(encoding="utf-8"))["model"]["class_path"]
    return path


class Store:
    """Results of cells in a folder; a file appears there only when whole.

    Args:
        elsewhere: results that the folder lacks, by key, but for the arrays.
    """

    def __init__(self, folder: Path, elsewhere: Mapping[str, Mapping[str, Any]] | None = None):
        self.folder = folder
        self.elsewhere = elsewhere or {}

    def read(self, cell: Cell, needs: Collection[str] = ()) -> dict[str, Any] | None:
        """The result of a cell, unless it is missing or a default that it was computed with has changed since.

        Args:
            needs: metrics that it must have, see `lacks`.
        """
        now = resolve(cell.config)
        for record in (_record(self.folder / f"{cell.key}.json"), self.elsewhere.get(cell.key)):
            if record and agree(record["config"], now) and not lacks(record, needs):
                return dict(record)
        return None

    def arrays(self, cell: Cell) -> dict[str, np.ndarray]:
        """What the figures are drawn from.

        Raises:
            ValueError: the file is not there, or damaged.
        """
        path = self.folder / f"{cell.key}.npz"
        try:
            with np.load(path) as file:
                return dict(file)
        except (OSError, EOFError, ValueError, BadZipFile) as error:
            raise ValueError(
                f"{str(path)!r}, of which the figure is drawn, is not there or damaged: {error}; delete "
                f"{path.with_suffix('.json').name!r} beside it to compute it again"
            ) from None

    def unfinished(self, cell: Cell) -> Path:
        """Where a training is kept while it goes on, in a folder that is there, from wherever a worker looks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder.absolute() / f"{cell.key}.ckpt"

    def write(self, cell: Cell, outcome: Outcome) -> None:
        """Keep a result; the JSON file comes last and makes the cell finished."""
        with whole_file(self.folder / f"{cell.key}.npz") as part, part.open("wb") as file:
            np.savez_compressed(file, **outcome.arrays)  # type: ignore[arg-type]
        identity = {"method": cell.method, "dataset": cell.category.dataset, "category": cell.category.name}
        identity |= {"left_out": cell.category.left_out} if cell.category.left_out else {}
        record = {"key": cell.key, **identity, "seed": cell.seed, **outcome.record}
        with whole_file(self.folder / f"{cell.key}.json") as part:
            part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        # Last, so that nothing is lost between the two.
        remove_file(self.unfinished(cell))

    def all(self) -> list[dict[str, Any]]:
        """Every finished cell of the folder, whatever its configuration."""
        return [record for path in sorted(self.folder.glob("*.json")) if (record := _record(path))]


def _record(path: Path) -> dict[str, Any] | None:
    """What is known of a cell; None where that is missing or damaged, so that it is computed again."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if is_record(record) else None


def is_record(record: Any) -> bool:
    """Whether what a file holds is the result of a cell."""
    known = {"config": Mapping, "metrics": Mapping, "method": str, "dataset": str, "duration_s": int | float}
    return isinstance(record, dict) and all(isinstance(record.get(name), kind) for name, kind in known.items())
