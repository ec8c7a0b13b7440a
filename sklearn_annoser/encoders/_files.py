"""Files told apart by their content, and by what tells without reading them that they have not changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from hashlib import blake2b

GRAIN_NS = 2_000_000_000  # a file that changed this lately may change again without its times showing it
SIZED = 16  # bytes of a digest

WEIGHTS = ("*.safetensors", "*.bin", "*.h5", "*.msgpack", "*.ot", "*.onnx", "*.pt", "*.pth", "*.ckpt", "*.gguf")
SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")  # where one is there, it is what is loaded
NO_PART = ("*.md", ".*", "LICENSE*", "generation_config.json")  # of what decides a vector
CODE = "auto_map"  # by this key a model's files name Python code of its own:
SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")

State = tuple[int, int, int, int]


def file_digest(path: str | bytes | os.PathLike[str]) -> bytes:
    """Return 16 bytes that identify a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: blake2b(digest_size=SIZED)).digest()


def file_state(status: os.stat_result) -> State:
    """Return what differs when a file has changed: size, times and inode.

    The time of a change (ctime) cannot be set: it tells of a file which another one with its size and time was copied
    over; the inode, of one that another took the place of. On Windows there is no such time.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def is_settled(state: State, now_ns: int) -> bool:
    """Return whether a file that changes from now on would be in another state."""
    return os.name != "nt" and max(state[1], state[2]) < now_ns - GRAIN_NS


# ---------------------------------------------------------------------- folders of models


def folder_state(folder: str) -> tuple[tuple[str, State], ...]:
    """Return what differs when a file of a folder has changed."""
    with os.scandir(folder) as entries:
        return tuple(sorted((each.name, file_state(os.stat(each.path))) for each in entries if each.is_file()))


def model_fingerprint(folder: str) -> str:
    """Return a hash of the files that decide a model's vectors.

    The files, not what a release of transformers makes of them. What is not known to be no part of it is part of it.
    """
    digest = blake2b(digest_size=SIZED)
    for name in _deciding(folder):
        digest.update(name.encode(errors="surrogateescape") + b"\0" + file_digest(os.path.join(folder, name)))
    return digest.hexdigest()


def _deciding(folder: str) -> Iterator[str]:
    """Yield the names of the files of a model that decide its vectors, in order."""
    names = [name for name, _ in folder_state(folder)]
    loaded = WEIGHTS[:1] if any(name in names for name in SAFE_WEIGHTS) else WEIGHTS[:2]
    others = [kind for kind in WEIGHTS if kind not in loaded] + ["training_args.bin"]
    yield from (name for name in names if not any(fnmatch(name, kind) for kind in (*NO_PART, *others)))


def refuse_code(folder: str) -> None:
    """Raise if the files of a model name code of their own: without it the network would be another one."""
    for path in (os.path.join(folder, name) for name in SETTINGS):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                settings = json.load(file)
            if isinstance(settings, dict) and settings.get(CODE):
                raise ValueError(
                    f"its {os.path.basename(path)} asks for Python code that comes with it ({CODE}), which is never "
                    "run. Take a model that transformers itself has the network and the tokenizer for."
                )
