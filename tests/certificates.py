"""Certificates for tests, made on the spot with the `openssl` command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


class Authority:
    """A certificate authority of its own, in `directory`."""

    def __init__(self, directory: Path, name: str = "lab") -> None:
        self._directory = directory
        self._name = name
        self.ca = directory / f"{name}-ca.crt"
        self._key = directory / f"{name}-ca.key"
        directory.mkdir(parents=True, exist_ok=True)
        subject = ("-subj", f"/CN={name} CA", "-days", "2")
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.ca, *subject)

    def issue(self, *names: str, days: int = 2, file: str = "server") -> Certificate:
        """For names such as `IP:127.0.0.1` or `DNS:localhost`; one of -1 days has expired."""
        issued = Certificate(self._directory / f"{file}.crt", self._directory / f"{file}.key")
        request = self._directory / f"{file}.csr"
        names_extension = ("-addext", f"subjectAltName={','.join(names)}")
        _openssl("req", *_NEW_KEY, "-keyout", issued.key, "-out", request, "-subj", f"/CN={file}", *names_extension)
        signed = ("-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-copy_extensions", "copy")
        _openssl("x509", "-req", "-in", request, *signed, "-days", str(days), "-out", issued.certificate)
        return issued


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
