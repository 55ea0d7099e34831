"""Opens a tracker's run; a tracker's package is imported here and not before."""

from cairn.track.points import Run, Sink
from cairn.track.specs import SinkSpec


def open_sink(spec: SinkSpec, run: Run, after: int) -> Sink:
    """Open, or go on with, the run of a climb.

    Args:
        after: the last line that was handed over before, as far as this machine knows.

    Raises:
        Unreachable: the service gave no answer, or refuses.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    if spec.kind == "wandb":
        from cairn.track.wandb_run import WandbSink

        return WandbSink(run, spec.where, after)
    if spec.kind == "tensorboard":
        from cairn.track.tensorboard_files import TensorBoardSink

        return TensorBoardSink(run, spec.where, after)
    from cairn.track.mlflow_run import MlflowSink

    return MlflowSink(run, spec.where, after)
