"""What has to be undone on a device, on disk before it is done: so a device is put in order also after a crash."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter


class Undo(BaseModel):
    """One thing to undo."""

    model_config = ConfigDict(frozen=True)

    step: str
    """What was done, in words, such as `animations off`."""
    action: str
    """Which kind of action undoes it; the device knows its kinds."""
    arguments: list[str] = []


_UNDOS = TypeAdapter(list[Undo])


class Journal:
    """The undos of one device, newest last. One process at a time may use a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def undos(self) -> list[Undo]:
        """What is still to be undone."""
        try:
            return _UNDOS.validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return []

    def add(self, undo: Undo) -> None:
        """Write down what will undo a step that is about to be done."""
        self._write([*self.undos, undo])

    def remove(self, undo: Undo) -> None:
        """It is undone."""
        self._write([one for one in self.undos if one != undo])

    def _write(self, undos: list[Undo]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if not undos:
            self._file.unlink(missing_ok=True)
            return
        half = self._file.with_suffix(".part")
        half.write_bytes(_UNDOS.dump_json(undos))
        half.replace(self._file)
