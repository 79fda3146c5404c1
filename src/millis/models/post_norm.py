"""Anatomies of encoders with post-norm blocks: BERT and kin, whose tokens look both ways."""

from typing import Any

from torch import Tensor, nn

from millis.errors import MillisError
from millis.models.parts import Embeddings, Keys, Layer
from millis.models.usual_parts import Usual


class Bert(Usual):
    """BERT (Devlin et al. 2019, 1810.04805): post-norm blocks, learned positions counted from 0."""

    model_types: tuple[str, ...] = ("bert",)

    def blocks(self, encoder: Any) -> list[nn.Module]:
        return list(encoder.encoder.layer)

    def attend(self, block: Any, states: Tensor, bias: Tensor) -> tuple[Tensor, Tensor | None]:
        """The first half of a block, residual sum and norm included.

        Args:
            block: Of an encoder whose attention is computed step by step (`attn_implementation` "eager").
            states: [B, S, D].
            bias: Added to the attention scores, [B, 1, 1, S].

        Returns:
            States [B, S, D] and attention probabilities [B, H, S, S]; None where no head is left.
        """
        attended: tuple[Tensor, Tensor | None] = block.attention(states, bias)
        return attended

    def feed(self, block: Any, states: Tensor) -> Tensor:
        """The second half: feed-forward, residual sum and norm, [B, S, D]; each token by itself."""
        fed: Tensor = block.feed_forward_chunk(states)
        return fed

    def layers(self, encoder: Any) -> list[Layer]:
        return [
            Layer(
                attention=block.attention.self,
                query=block.attention.self.query,
                key=block.attention.self.key,
                value=block.attention.self.value,
                attention_output=block.attention.output.dense,
                attention_norm=block.attention.output.LayerNorm,
                ffn_in=block.intermediate.dense,
                ffn_out=block.output.dense,
                ffn_norm=block.output.LayerNorm,
            )
            for block in encoder.encoder.layer
        ]

    def embeddings(self, encoder: Any) -> Embeddings:
        parts = encoder.embeddings
        tables = (parts.word_embeddings, parts.position_embeddings, parts.token_type_embeddings)
        return Embeddings(tables, parts.LayerNorm, getattr(encoder, "embeddings_project", None))

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        attention.attention_head_size = head_size
        attention.scaling = head_size**-0.5


class Roberta(Bert):
    """RoBERTa and kin: BERT's parts; positions are counted from `pad_token_id + 1`, the rows before are not used."""

    model_types = ("roberta", "xlm-roberta", "camembert")

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["max_position_embeddings"]) - int(config["pad_token_id"]) - 1


class Electra(Bert):
    """ELECTRA's discriminator (Clark et al. 2020, 2003.10555): BERT, whose small sizes project narrower embeddings."""

    model_types = ("electra",)

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        if config["embedding_size"] != config["hidden_size"]:
            raise MillisError(
                f"this electra projects embeddings of {config['embedding_size']} to a hidden size of "
                f"{config['hidden_size']}, which millis cannot narrow to {hidden}: leave student.hidden_size=null and "
                "cut layers, heads or ffn_size"
            )
        return {**config, "hidden_size": hidden, "embedding_size": hidden}


class DistilBert(Bert):
    """DistilBERT (Sanh et al. 2019, 1910.01108): BERT without token types, under other names."""

    model_types = ("distilbert",)
    keys = Keys("n_layers", "dim", "n_heads", "hidden_dim")
    after_heads = ("out_lin",)

    def blocks(self, encoder: Any) -> list[nn.Module]:
        return list(encoder.transformer.layer)

    def attend(self, block: Any, states: Tensor, bias: Tensor) -> tuple[Tensor, Tensor | None]:
        attended, probabilities = block.attention(states, attention_mask=bias)
        return block.sa_layer_norm(attended + states), probabilities

    def feed(self, block: Any, states: Tensor) -> Tensor:
        fed: Tensor = block.output_layer_norm(block.ffn(states) + states)
        return fed

    def layers(self, encoder: Any) -> list[Layer]:
        return [
            Layer(
                attention=block.attention,
                query=block.attention.q_lin,
                key=block.attention.k_lin,
                value=block.attention.v_lin,
                attention_output=block.attention.out_lin,
                attention_norm=block.sa_layer_norm,
                ffn_in=block.ffn.lin1,
                ffn_out=block.ffn.lin2,
                ffn_norm=block.output_layer_norm,
            )
            for block in encoder.transformer.layer
        ]

    def embeddings(self, encoder: Any) -> Embeddings:
        parts = encoder.embeddings
        return Embeddings((parts.word_embeddings, parts.position_embeddings), parts.LayerNorm, projection=None)
