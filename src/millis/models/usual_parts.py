"""What most architectures of transformers have in common; an anatomy says what is its own."""

from typing import Any

from millis.models.parts import Keys, Norm
from millis.models.spec import Shape


class Usual:
    """The members of `millis.models.parts.Anatomy` that seldom differ."""

    keys = Keys("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    causal = False
    after_heads: tuple[str, ...] = ()

    def prepare(self, encoder: Any) -> None:
        """Nothing to do: the parts are as `Layer` has them."""

    def final_norm(self, encoder: Any) -> Norm | None:
        return None

    def groups(self, config: dict[str, Any]) -> int:
        return 1

    def narrow(self, config: dict[str, Any], shape: Shape) -> dict[str, Any]:
        # One head divides every hidden size, which the constructors ask for.
        return {**config, self.keys.layers: len(shape.heads), self.keys.heads: 1, self.keys.ffn: 1}

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        return {**config, self.keys.hidden: hidden}

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["max_position_embeddings"])
