"""The base model and its tokenizer: the embedded asset, a hub id, or a folder."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ModelError
from harness.executor import is_out_of_memory
from harness.vetting import FILES, PICKLE, REMOTE_CODE, TRUSTED_FILES, UNREAD, files, vet

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED = "embedded"
WEIGHTS_A_BYTE = 4
SPARE_WEIGHTS = 100_000_000
"""A model may have this many weights for each byte in its files, and tables that are computed beside them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """A base model that can be loaded any number of times.

    Attributes:
        source: What the user asked for: "embedded", a hub id or a folder.
        path: The folder that holds it; for a hub id, the downloaded snapshot.
        sha256: Over all weight, configuration and tokenizer files (for the hub: over id and commit).
        device: Where `load` puts the model.
        precision: "bfloat16" or "float32", the type of the loaded weights.
        trust: What of the user's trust the model needs: `vetting.PICKLE`, `vetting.REMOTE_CODE`.
    """

    source: str
    path: str
    sha256: str
    device: str
    precision: str
    trust: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """What of the model determines a result, as plain JSON values."""
        trust = {"trust": list(self.trust)} if self.trust else {}
        return {"source": self.source, "sha256": self.sha256, **trust}

    def stored_weights(self) -> int | None:
        """How many weights its safetensors files hold, by their headers; None where none can be read."""
        from safetensors import SafetensorError, safe_open

        count = 0
        for path in Path(self.path).glob("*.safetensors"):
            try:
                with safe_open(path, framework="np") as stored:
                    names = stored.keys()
                    count += sum(math.prod(stored.get_slice(name).get_shape()) for name in names)
            except (SafetensorError, OSError):
                return None  # a cell that loads it will say what is wrong
        return count or None

    def load(self, *, precision: str | None = None, **options: Any) -> PreTrainedModel:
        """A fresh copy of the model on `device`, in eval mode, in its own precision unless another is named.

        `options` go to transformers' `from_pretrained`, for methods that quantise.

        Raises:
            ModelError: The files cannot be read as a causal language model.
        """
        import torch
        from transformers import AutoModelForCausalLM

        with self._readable("as a causal language model"):
            self._check_size()
            model, loaded = AutoModelForCausalLM.from_pretrained(
                self.path,
                dtype=getattr(torch, precision or self.precision),
                device_map={"": self.device},
                use_safetensors=PICKLE not in self.trust,
                weights_only=True,
                trust_remote_code=REMOTE_CODE in self.trust,
                attn_implementation=self._attention,
                # Reported below, in words, with those that are absent.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **options,
            )
        wanting = [*map(str, loaded["missing_keys"]), *(str(key) for key, *_ in loaded["mismatched_keys"])]
        if wanting:  # transformers would go on with random ones
            raise ModelError(
                f"cannot load {self.source!r}: {len(wanting)} of the weights that its config.json asks for "
                f"are not in its files or have another shape there, {min(wanting)!r} for one"
            )
        return model.eval()

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer.

        Raises:
            ModelError: The folder or hub repository has none that can be read.
        """
        from transformers import AutoTokenizer

        with self._readable("with its tokenizer"):
            return AutoTokenizer.from_pretrained(self.path, trust_remote_code=REMOTE_CODE in self.trust)

    def positions(self) -> int | None:
        """How many tokens in a row the model was made for, None where its configuration does not say."""
        found = getattr(self._config().get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) else None

    def _config(self) -> PretrainedConfig:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.path, trust_remote_code=REMOTE_CODE in self.trust)

    def empty(self, device: str = "meta") -> PreTrainedModel:
        """The model without its weights, as `load` would make it; nothing is read but its configuration."""
        import torch
        from transformers import AutoModelForCausalLM

        with torch.device(device):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(
                self._config(),
                trust_remote_code=REMOTE_CODE in self.trust,
                dtype=getattr(torch, self.precision),
                attn_implementation=self._attention,
            )
        return model

    @property
    def _attention(self) -> str | None:
        # At the presets' lengths torch's CPU kernel of SDPA trains slower than eager attention. Elsewhere
        # transformers takes SDPA where a model has it, which it would insist on if it were named.
        return "eager" if self.device == "cpu" else None

    def _check_size(self) -> None:
        """Refuse a configuration whose model would be out of all proportion to its files, before it is made.

        Raises:
            ModelError: It would.
        """
        if REMOTE_CODE in self.trust:  # it may not bear to be made without memory, and is trusted anyway
            return
        empty = self.empty()
        asked = sum(tensor.numel() for tensor in (*empty.parameters(), *empty.buffers()))
        stored = sum(path.stat().st_size for path in files(Path(self.path), self.trust))
        if asked > WEIGHTS_A_BYTE * stored + SPARE_WEIGHTS:
            raise ModelError(
                f"cannot load {self.source!r}: its config.json asks for {asked:,} weights, its files hold "
                f"{stored:,} bytes"
            )

    @contextmanager
    def _readable(self, how: str) -> Iterator[None]:
        """Turn whatever a library raises over the model's files into one line.

        Any type of exception may come: the files decide which code runs on what they hold.
        """
        try:
            yield
        except ModelError:
            raise
        except Exception as error:
            if is_out_of_memory(error) or isinstance(error, MemoryError):
                raise
            said = _line(error)
            if "trust_remote_code" in str(error):
                said = "it needs code of its own (auto_map), which only --trust-remote-code runs"
            raise ModelError(f"cannot load {self.source!r} {how}: {said}") from error

    def chat_template(self) -> str:
        """SHA-256 of the model's own chat template, which is tried once.

        Raises:
            ModelError: It has none, or one that cannot be rendered.
        """
        tokenizer = self.tokenizer()
        template = getattr(tokenizer, "chat_template", None)
        if not template:
            raise ModelError(f"{self.source!r} has no chat template; run it without --chat-template")
        with self._readable("with its chat template"):
            tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False)
        return hashlib.sha256(json.dumps(template).encode()).hexdigest()


def resolve(source: str, *, device: str, precision: str, trust: Collection[str] = ()) -> ModelSource:
    """Find the model that `source` names and fingerprint it, fetching the embedded one where needed.

    Args:
        source: "embedded", a hub id or a folder.
        device: Where it will run.
        precision: The type of its loaded weights.
        trust: What the user allows beyond safetensors and the library's own code; see `vetting`.

    Raises:
        ModelError: The folder has no readable model or needs more trust, or the hub does not know the id.
        AssetError: The embedded model cannot be fetched.
    """
    commit = None
    if source == EMBEDDED:
        from harness.assets import embedded_model

        folder = embedded_model()
    else:
        folder = Path(source).expanduser()
        if not folder.exists():
            if source.startswith((".", "/", "~")):
                raise ModelError(f"there is no model folder {source!r}")
            folder = _from_hub(source, trust)
            commit = folder.name
    needed = vet(folder, trust)
    sha = (
        hashlib.sha256(f"{source}@{commit}".encode()).hexdigest()
        if commit
        else _folder_sha256(folder, needed)
    )
    return ModelSource(
        source=source, path=str(folder), sha256=sha, device=device, precision=precision, trust=needed
    )


def quieten() -> None:
    """Keep libraries' advice and questions about themselves out of the terminal; errors still show."""
    import transformers

    # Without time to answer, nobody is asked whether a model's own code may run, not on peft's behalf either.
    transformers.dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # bitsandbytes offers an optional kernel package; peft calls a name that transformers renamed, and takes
    # the ranks that AdaLoRA brought to zero for a mistake in saving.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    warnings.filterwarnings("ignore", message=r".*zero-sized lora_A / lora_B tensor")


def _from_hub(source: str, trust: Collection[str]) -> Path:
    """The snapshot of a hub repository; its pickled weights only where it has no others."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    code = TRUSTED_FILES[REMOTE_CODE] if REMOTE_CODE in trust else ()
    try:
        folder = Path(snapshot_download(source, allow_patterns=[*FILES, *code], ignore_patterns=[*UNREAD]))
        if PICKLE in trust and not any(folder.glob("*.safetensors")):
            snapshot_download(source, revision=folder.name, allow_patterns=list(TRUSTED_FILES[PICKLE]))
    except HFValidationError as error:
        raise ModelError(
            f"{source!r} is neither an existing folder, nor a hub id like 'owner/name', nor 'embedded'"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(f"cannot fetch {source!r} from the hub: {_line(error)}") from error
    return folder


def _folder_sha256(folder: Path, trust: Collection[str]) -> str:
    """Hash of every model file's name and content."""
    digest = hashlib.sha256()
    for path in files(folder, trust):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _line(error: BaseException) -> str:
    """First line of an error, for a one-line message."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
