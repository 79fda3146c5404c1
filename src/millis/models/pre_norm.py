"""Anatomies of decoders with pre-norm blocks: GPT-2, Llama and kin, whose tokens look back only."""

from typing import Any

from torch import nn

from millis.models import gpt2
from millis.models.parts import Embeddings, Keys, Layer, Norm
from millis.models.spec import Shape
from millis.models.usual_parts import Usual


class Gpt2(Usual):
    """GPT-2 (Radford et al. 2019): pre-norm blocks whose tokens look back only; no norm after the embeddings."""

    model_types: tuple[str, ...] = ("gpt2",)
    keys = Keys("n_layer", "n_embd", "n_head", "n_inner")
    causal = True
    after_heads: tuple[str, ...] = ("c_proj", "resid_dropout")

    def prepare(self, encoder: Any) -> None:
        gpt2.separate(encoder)

    def blocks(self, encoder: Any) -> list[nn.Module]:
        return list(encoder.h)

    def layers(self, encoder: Any) -> list[Layer]:
        return [
            Layer(
                attention=block.attn,
                query=block.attn.c_attn.query,
                key=block.attn.c_attn.key,
                value=block.attn.c_attn.value,
                attention_output=block.attn.c_proj,
                attention_norm=block.ln_1,
                ffn_in=block.mlp.c_fc,
                ffn_out=block.mlp.c_proj,
                ffn_norm=block.ln_2,
            )
            for block in encoder.h
        ]

    def embeddings(self, encoder: Any) -> Embeddings:
        return Embeddings((encoder.wte, encoder.wpe), norm=None, projection=None)

    def final_norm(self, encoder: Any) -> Norm | None:
        return encoder.ln_f

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        attention.num_heads, attention.head_dim, attention.split_size = heads, head_size, heads * head_size
        attention.scaling = head_size**-0.5 if attention.scale_attn_weights else 1.0
        if attention.scale_attn_by_inverse_layer_idx:
            attention.scaling /= attention.layer_idx + 1

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["n_positions"])


class Llama(Usual):
    """Llama and kin (Touvron et al. 2023, 2302.13971): pre-norm blocks by root mean square (1910.07467), rotary
    positions (2104.09864), gated feed-forward (2002.05202), query heads in groups (2305.13245); tokens look back only.
    """

    model_types: tuple[str, ...] = ("llama", "mistral", "qwen2")
    causal = True
    after_heads: tuple[str, ...] = ("o_proj",)

    def prepare(self, encoder: Any) -> None:
        """Keys and values of earlier tokens are kept by who writes, not by every pass over a text."""
        encoder.config.use_cache = False

    def blocks(self, encoder: Any) -> list[nn.Module]:
        return list(encoder.layers)

    def layers(self, encoder: Any) -> list[Layer]:
        return [
            Layer(
                attention=block.self_attn,
                query=block.self_attn.q_proj,
                key=block.self_attn.k_proj,
                value=block.self_attn.v_proj,
                attention_output=block.self_attn.o_proj,
                attention_norm=block.input_layernorm,
                ffn_in=block.mlp.up_proj,
                ffn_out=block.mlp.down_proj,
                ffn_norm=block.post_attention_layernorm,
                ffn_gate=block.mlp.gate_proj,
            )
            for block in encoder.layers
        ]

    def embeddings(self, encoder: Any) -> Embeddings:
        return Embeddings((encoder.embed_tokens,), norm=None, projection=None)

    def final_norm(self, encoder: Any) -> Norm | None:
        return encoder.norm

    def groups(self, config: dict[str, Any]) -> int:
        heads = int(config[self.keys.heads])
        return heads // int(config.get("num_key_value_heads") or heads)

    def narrow(self, config: dict[str, Any], shape: Shape) -> dict[str, Any]:
        kept = {name: value for name, value in config.items() if name != "layer_types"}  # one for each layer there was
        return {**super().narrow(kept, shape), "num_key_value_heads": 1, "head_dim": shape.head_size}

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        attention.head_dim, attention.scaling = head_size, head_size**-0.5
