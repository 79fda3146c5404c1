"""What has no plan, as a user reads it."""

from millis.errors import MillisError

INSTEAD = "Use backend=onnxruntime, or backend=eager"


def refusal(what: str) -> MillisError:
    """A model that cannot be run."""
    return MillisError(
        f"backend=native cannot run {what}: expected a transformer with post-norm blocks, a decoder as Llama's, "
        f"static, convolution or bilstm. {INSTEAD}"
    )
