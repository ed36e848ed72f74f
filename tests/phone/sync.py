"""adb's `sync:` service: stat, list, push and pull on the phone's directory tree.

A request is four letters and a length in little-endian, then that many bytes. Source: AOSP,
packages/modules/adb/SYNC.TXT and file_sync_protocol.h.
"""

import os
import stat
import struct
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from tests.phone.wire import Stream

_REQUEST = struct.Struct("<4sI")
_STAT_V1 = struct.Struct("<3I")
_STAT_V2 = struct.Struct("<IQQIIIIQqqq")
_ENTRY = struct.Struct("<4I")
_PIECE_BYTES = 64 * 1024
_ENOENT = 2


class SyncService:
    """One conversation; `locate` maps a path of the phone to one of this process, `owner` gets what is pushed."""

    def __init__(
        self, stream: Stream, *, locate: Callable[[str], Path], owner: int, log: Callable[[str], None]
    ) -> None:
        self._stream = stream
        self._locate = locate
        self._owner = owner
        self._log = log

    async def run(self) -> None:
        """Until the other side says QUIT or goes away."""
        while True:
            try:
                name, length = _REQUEST.unpack(await self._stream.read_exactly(_REQUEST.size))
            except EOFError:
                return
            if name == b"QUIT":
                return
            argument = (await self._stream.read_exactly(length)).decode()
            self._log(f"{name.decode()} {argument}")
            if name == b"STAT":
                await self._stat_v1(argument)
            elif name in (b"STA2", b"LST2"):
                await self._stat_v2(name, argument)
            elif name == b"LIST":
                await self._list(argument)
            elif name == b"RECV":
                await self._pull(argument)
            elif name == b"SEND":
                await self._push(argument)
            else:
                await self._fail(f"unknown command {name!r}")
                return

    async def _stat_v1(self, path: str) -> None:
        found = self._status(path)
        packed = _STAT_V1.pack(found.st_mode, found.st_size, int(found.st_mtime)) if found else bytes(_STAT_V1.size)
        await self._stream.write(b"STAT" + packed)

    async def _stat_v2(self, name: bytes, path: str) -> None:
        found = self._status(path, follow=name == b"STA2")
        if found is None:
            packed = _STAT_V2.pack(_ENOENT, *[0] * 10)
        else:
            packed = _STAT_V2.pack(
                0,
                found.st_dev,
                found.st_ino,
                found.st_mode,
                found.st_nlink,
                found.st_uid,
                found.st_gid,
                found.st_size,
                int(found.st_atime),
                int(found.st_mtime),
                int(found.st_ctime),
            )
        await self._stream.write(name + packed)

    async def _list(self, path: str) -> None:
        try:
            names = [entry.name for entry in self._locate(path).iterdir()]
        except OSError:
            names = []
        for entry in names:
            found = self._status(f"{path}/{entry}")
            if found is not None:
                encoded = entry.encode()
                packed = _ENTRY.pack(found.st_mode, found.st_size, int(found.st_mtime), len(encoded))
                await self._stream.write(b"DENT" + packed + encoded)
        await self._stream.write(b"DONE" + bytes(_ENTRY.size))

    async def _pull(self, path: str) -> None:
        try:
            with self._locate(path).open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    await self._stream.write(_REQUEST.pack(b"DATA", len(piece)) + piece)
        except OSError as error:
            await self._fail(f"open failed: {error.strerror}")
        else:
            await self._stream.write(_REQUEST.pack(b"DONE", 0))

    async def _push(self, argument: str) -> None:
        name, _, mode = argument.rpartition(",")
        path = self._locate(name)
        problem = None
        file = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("wb", buffering=0)
        except OSError as error:
            problem = f"couldn't create file: {error.strerror}"
        while True:
            kind, number = _REQUEST.unpack(await self._stream.read_exactly(_REQUEST.size))
            if kind == b"DONE":
                break
            piece = await self._stream.read_exactly(number)
            try:
                while file is not None and piece:
                    piece = piece[file.write(piece) :]
            except OSError as error:
                problem = f"write failed: {error.strerror}"
                close_and_remove(file, path)
                file = None
        if file is None or problem is not None:
            await self._fail(problem or "couldn't create file")
            return
        file.close()
        path.chmod(stat.S_IMODE(int(mode)) or 0o644)
        os.chown(path, self._owner, self._owner)
        os.utime(path, (number, number))  # DONE carries the time of change where other requests have a length
        await self._stream.write(_REQUEST.pack(b"OKAY", 0))

    async def _fail(self, sentence: str) -> None:
        encoded = sentence.encode()
        await self._stream.write(_REQUEST.pack(b"FAIL", len(encoded)) + encoded)

    def _status(self, path: str, follow: bool = False) -> os.stat_result | None:
        located = self._locate(path)
        try:
            return located.stat() if follow else located.lstat()
        except OSError:
            return None


def close_and_remove(file: FileIO | None, path: Path) -> None:
    """End a push that failed: half a file is never left behind."""
    if file is not None:
        file.close()
    path.unlink(missing_ok=True)
