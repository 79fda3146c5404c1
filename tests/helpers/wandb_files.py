"""Offline W&B runs read back from their files, byte by byte, so that what a sync sends is what was meant."""

import json
import struct
from collections import ChainMap
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def messages(run: Path) -> Iterator[Any]:
    """The records of an offline run: LevelDB's log format, each payload a protocol buffer.

    After a 7-byte header come blocks of 32 KiB with chunks `crc32 u32, length u16, kind u8, payload`; kinds 1 and 4
    end a record. Less than 7 bytes at the end of a block are padding.
    """
    from wandb.proto import wandb_internal_pb2

    (path,) = run.glob("run-*.wandb")
    data, position, payload = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        position += 7
        payload += data[position : position + length]
        position += length
        if kind in (1, 4):
            message = wandb_internal_pb2.Record()
            message.ParseFromString(payload)
            payload = b""
            yield message


def values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def history(run: Path) -> list[dict[str, Any]]:
    return [values(message.history.item) for message in messages(run) if message.WhichOneof("record_type") == "history"]


def summary(run: Path) -> dict[str, Any]:
    updates = [values(m.summary.update) for m in messages(run) if m.WhichOneof("record_type") == "summary"]
    return dict(ChainMap(*reversed(updates)))


def config(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for message in messages(run):
        if message.WhichOneof("record_type") == "run":
            found |= values(message.run.config.update)
        if message.WhichOneof("record_type") == "config":
            found |= values(message.config.update)
    return found


def group_and_name(run: Path) -> tuple[str, str]:
    (start,) = [message.run for message in messages(run) if message.WhichOneof("record_type") == "run"]
    return start.run_group, start.display_name


def start(run: Path) -> Any:
    """The message that opens a run: its `run_group`, `job_type`, `display_name` and `run_id`."""
    (found,) = [message.run for message in messages(run) if message.WhichOneof("record_type") == "run"][:1]
    return found


def artifacts(run: Path) -> tuple[set[str], set[str]]:
    """The names of the artifacts that a run made, and of those that it used; tables and job files left out."""
    found = [m.request.log_artifact.artifact for m in messages(run) if m.request.HasField("log_artifact")]
    found += [m.artifact for m in messages(run) if m.WhichOneof("record_type") == "artifact"]
    found = [one for one in found if one.type in ("teacher", "student", "model")]
    used = {one.name for one in found if one.use_after_commit}
    return {one.name for one in found if not one.use_after_commit}, used
