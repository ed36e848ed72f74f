"""Random weights of a fixed seed, and weights beside an ONNX file: both streamed, never all in memory."""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


STREAM_BYTES: Final = 16 * 2**20
"""Of one tensor in memory at a time."""
LARGEST_FILE_BYTES: Final = 2**31 - 2**20
"""Published models are cut below 2 GiB, which is what a browser's ArrayBuffer and onnxruntime-web can hold at once."""


class RandomBytes:
    """Uniform bytes by name: the same seed and name give the same bytes on every machine."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def stream(self, name: str, count: int) -> "Iterator[NDArray[numpy.uint8]]":
        """`count` bytes in arrays of at most STREAM_BYTES."""
        import numpy

        # The generator's raw words are fixed by NumPy's compatibility policy; its distributions are not.
        generator = numpy.random.PCG64(numpy.random.SeedSequence([self._seed, zlib.crc32(name.encode())]))
        left = count
        while left:
            size = min(left, STREAM_BYTES)
            words = generator.random_raw(math.ceil(size / 8))
            yield words.astype("<u8").view(numpy.uint8)[:size]
            left -= size


class ExternalWeights:
    """Writes the weights of one ONNX file beside it, as Transformers.js looks for them.

    `<model>.onnx_data`, then `<model>.onnx_data_1` and so on, each below LARGEST_FILE_BYTES.
    """

    def __init__(self, onnx_file: Path) -> None:
        self._onnx_file = onnx_file
        self._files = 0
        self._offset = LARGEST_FILE_BYTES
        self._stream: Any = None

    def __enter__(self) -> "ExternalWeights":
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    @property
    def files(self) -> int:
        """How many have been begun."""
        return self._files

    def add(self, name: str, kind: int, shape: tuple[int, ...], content: "Iterator[NDArray[Any]]", size: int) -> Any:
        """Writes a tensor of `size` bytes and returns the `TensorProto` that points at it; `kind` is ONNX's."""
        import onnx

        if self._offset + size > LARGEST_FILE_BYTES:
            self._next_file()
        tensor = onnx.TensorProto(name=name, data_type=kind, dims=shape, data_location=onnx.TensorProto.EXTERNAL)
        place = {"location": self._location(), "offset": str(self._offset), "length": str(size)}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)
        written = 0
        for part in content:
            written += self._stream.write(part.tobytes())
        if written != size:
            raise ValueError(f"{name}: {written} bytes came, {size} were announced")
        self._offset += size
        return tensor

    def _location(self) -> str:
        suffix = "" if self._files == 1 else f"_{self._files - 1}"
        return f"{self._onnx_file.name}_data{suffix}"

    def _next_file(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._files += 1
        self._offset = 0
        self._stream = self._onnx_file.with_name(self._location()).open("wb")
