"""The words of a user in; a run by LightningCLI's `fit`, `validate`, `test` or `predict` and its folder out."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.model_helpers import is_overridden
from rich.console import Console

from anomaly_clustering.cli.config_files import read_as_utf8
from anomaly_clustering.cli.console import epochs_table, print_notices, print_plainly, print_scores
from anomaly_clustering.cli.together import end_with_the_others, is_rank_zero, telling_the_others
from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.mic.companions import Companions
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.trainer import ACCELERATOR
from anomaly_clustering.runs.checkpoints import OfWholeEpochs, WholeCheckpoints, told_of_options
from anomaly_clustering.runs.epochs import LastAndBest
from anomaly_clustering.runs.file_names import CHECKPOINTS, EPOCHS
from anomaly_clustering.runs.output_folder import reserved
from anomaly_clustering.runs.predictions import predicted, rows_of, write_predictions
from anomaly_clustering.runs.run_folder import write_run
from anomaly_clustering.runs.tracked_run import describe, mode_of
from anomaly_clustering.runs.training import (
    LAST,
    TrainingFolder,
    goes_on,
    precision_of_training,
    reserved_to_train,
    write_training,
)

# How PyTorch begins to say that weights are those of another network, and Lightning that a callback asks for a metric
# that is not logged.
UNFIT, UNLOGGED = "Error(s) in loading state_dict", "Early stopping conditioned on metric"


def run(argv: Sequence[str]) -> None:
    """Run the command; `argv` begins with its name, or with a config.

    Raises:
        ValueError: what the user asked for is not there, such as a GPU.
    """
    # So that `class_path: baselines.SCAN` and `class_path: my_method.MyModule` are found; only now, or a file of the
    # user's could take the place of a library.
    sys.path.insert(0, os.getcwd())
    try:
        with telling_the_others(prefix="trainer."), ExitStack() as kept:
            _run(argv, kept)
    except RuntimeError as error:
        if str(error).startswith(UNLOGGED):
            raise ValueError(str(error)) from error
        if str(error).startswith(UNFIT):
            raise ValueError(
                f"the checkpoint is not of the module as it is configured; give the options that it was trained with: "
                f"{str(error).splitlines()[-1].strip()}"
            ) from error
        raise


def _run(argv: Sequence[str], kept: ExitStack) -> None:
    CommandLine(
        kept,
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=None,
        trainer_defaults={"accelerator": ACCELERATOR, "logger": False, "enable_model_summary": False},
        parser_class=Parser,
        parser_kwargs={"prog": "anomaly-clustering"},
        args=list(argv),
    )


class Parser(LightningArgumentParser):
    """Says what is wrong without listing a hundred options before it."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise ValueError(message)


class CommandLine(LightningCLI):
    """LightningCLI that leaves the folder of a run behind: assignments, metrics, resolved config, report.

    Args:
        kept: closed when the command has ended; until then nobody else writes to the folder, and W&B holds its run.
    """

    def __init__(self, kept: ExitStack, *args: Any, **kwargs: Any):
        self.kept = kept
        super().__init__(*args, **kwargs)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        with read_as_utf8():
            super().parse_arguments(parser, args)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--out", type=Path, help="the run's folder (default: runs/COMMAND)")
        parser.add_argument("--overwrite", action="store_true", help="replace the run that the folder holds")
        parser.add_argument(
            "--wandb", type=Literal["off", "online", "offline"], default="off", help="log the run to Weights & Biases"
        )

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        self.mode = mode_of(config.wandb)
        self.out = config.out or Path("runs") / str(self.subcommand)
        if config.get("ckpt_path") is not None:
            # The parser gives text or a path.
            config.ckpt_path = str(config.ckpt_path)
        # From files Lightning takes tensors alone, but what it downloads it trusts, and that could run code.
        if config.get("weights_only") is None and str(config.get("ckpt_path")).startswith("http"):
            config.weights_only = True
        self.trainer_defaults["callbacks"] = [Companions()]
        fits = self.subcommand == "fit"
        if config.get("ckpt_path") == "last" and not fits:
            raise ValueError(
                "--ckpt_path last is for `fit`, which goes on in its own folder; name the file of the training to "
                f"{self.subcommand}, such as {Path('runs/fit') / LAST}"
            )
        if is_rank_zero():
            if self.mode == "online":
                from anomaly_clustering.runs.tracking import check_login

                check_login(self.mode)
            self.kept.enter_context(
                reserved_to_train(self.out, ckpt_path=config.ckpt_path, overwrite=config.overwrite)
                if fits
                else reserved(self.out, overwrite=config.overwrite)
            )
        if not fits:
            return
        if config.ckpt_path == "last":
            # As text alone it means something to Lightning, and the parser may make a path of it again.
            config.ckpt_path = str(self.out / LAST)
        self.folder = TrainingFolder(self.out, overwrite=config.overwrite and not goes_on(self.out, config.ckpt_path))
        self.epochs = LastAndBest(self.out / EPOCHS, self.folder.begin)
        self.trainer_defaults["callbacks"].append(self.epochs)
        if config.trainer.enable_checkpointing is not False:
            self.trainer_defaults["callbacks"].append(OfWholeEpochs(self.out / CHECKPOINTS))

    def _parse_ckpt_path(self) -> None:
        """Lightning would take the module's class and options out of a checkpoint, which may be anybody's."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        if self.subcommand == "fit":
            given = self.config.fit.trainer
            kwargs["precision"] = precision_of_training(self.model, given.precision, str(given.accelerator))
        trainer = self._trainer(**kwargs)
        begin = self.folder.begin if self.subcommand == "fit" else lambda: None
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpoints(self.out, begin)
        elif trainer.is_global_zero:
            # What a user brings in its place stays, and does not say when it writes.
            begin()
        return trainer

    def _trainer(self, **kwargs: Any) -> Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        if self.mode != "off":
            self._track(trainer)
        end_with_the_others(trainer)
        return trainer

    def _track(self, trainer: Trainer) -> None:
        # Here, since importing W&B takes a second.
        from anomaly_clustering.runs.tracking import Track, finish, run_of, wandb_logger

        # Also of a command that fails, or a second one of this process would go on with its run.
        self.kept.push(lambda kind, error, trace: finish(failed=kind is not None))
        self._dump_config()
        config = self.config[self.subcommand]
        # From the checkpoint of another folder begins a training, and a run, of its own.
        is_known = self.subcommand == "fit" and goes_on(self.out, config.ckpt_path)
        known = run_of(Path(config.ckpt_path), weights_only=config.get("weights_only")) if is_known else None
        run = describe(str(self.subcommand), self.config_dump, goes_on=known)
        if logger := wandb_logger(self.mode, run):
            # After those that were asked for by `--trainer.logger`.
            trainer.loggers = [*trainer.loggers, logger]
        trainer.callbacks.append(Track(run))  # type: ignore[attr-defined]

    def before_test(self) -> None:
        if not is_overridden("test_step", self.model):
            raise ValueError(
                f"{type(self.model).__name__} has no test_step: validate scores what it has learned, and predict gives "
                "its clusters, with the --ckpt_path of its training"
            )
        if isinstance(self.model, MIC):
            self.config_init.test.verbose = False  # Its scores are printed below, in three digits.

    def before_validate(self) -> None:
        if isinstance(self.model, MIC):
            self.config_init.validate.verbose = False

    def after_fit(self) -> None:
        table = predicted(self.trainer, self.model)
        if not self.trainer.is_global_zero:
            return
        self.folder.begin()
        chosen = self.epochs.chosen()
        notices = list(self.datamodule.notices) if isinstance(self.datamodule, DefectDataModule) else []
        notices += self.epochs.notices()
        if self.epochs.stopped_in is not None and (self.out / LAST).exists():
            notices += [f"--ckpt_path last begins epoch {self.epochs.stopped_in} anew"]
        write_training(self.out, table, self.datamodule, chosen=chosen, notices=notices, config=self._resolved())
        console = Console()
        print_notices(console, notices)
        if chosen:
            console.print(epochs_table(chosen))
        print_plainly(console, f"Results are in {self.out}")

    def after_test(self) -> None:
        self._write()

    def after_validate(self) -> None:
        self._write()

    def after_predict(self) -> None:
        self._write()

    def _write(self) -> None:
        module, datamodule = self.model, self.datamodule
        metrics = {name: value.item() for name, value in self.trainer.callback_metrics.items()}
        overwrite, console = self.config[self.subcommand].overwrite, Console()
        if isinstance(module, MIC) and isinstance(datamodule, DefectDataModule):
            if not self.trainer.is_global_zero:
                return
            write_run(
                self.out,
                module,
                datamodule,
                metrics=metrics,
                config=self._resolved(),
                overwrite=overwrite,
            )
        else:
            table = self._said()
            if not self.trainer.is_global_zero:
                return
            write_predictions(
                self.out, table, datamodule, metrics=metrics, config=self._resolved(), overwrite=overwrite
            )
        if isinstance(datamodule, DefectDataModule):
            print_notices(console, datamodule.notices)
        if isinstance(module, MIC):
            print_notices(console, module.notices)
        elif is_overridden("training_step", module):
            print_notices(console, self._told_of_training())
        # Those of other methods Lightning has printed.
        if metrics and isinstance(module, MIC):
            print_scores(console, metrics)
        print_plainly(console, f"Results are in {self.out}")

    def _told_of_training(self) -> list[str]:
        if not self.config[self.subcommand].ckpt_path:
            return [f"{type(self.model).__name__} was asked as it is made, untrained: --ckpt_path names a training"]
        checkpoints = self.trainer.strategy.checkpoint_io
        then = checkpoints.options if isinstance(checkpoints, WholeCheckpoints) else {}
        return told_of_options(then, self.model.hparams)

    def _said(self) -> list[dict[str, Any]] | None:
        """What the method says of each image, asked for where the command has not."""
        if isinstance(self.model, MIC):
            grouping = self.model.grouping
            pairs = zip(grouping.index.tolist(), grouping.labels.tolist(), strict=True)
            return [{"index": index, "label": label} for index, label in pairs]
        if self.subcommand == "predict" and self.trainer.predict_loop.return_predictions:
            return rows_of(self.trainer.predict_loop.predictions)
        return predicted(self.trainer, self.model)

    def _resolved(self) -> str:
        self._dump_config()
        return yaml.safe_dump(self.config_dump, sort_keys=False)
