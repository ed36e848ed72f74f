"""A real S3-speaking server on loopback that checks signatures and rights: moto's, as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import httpx

from tests.waiting import wait_until

BUCKET = "lab-artifacts"
_REGION = "eu-central-1"
_UNCHECKED_CALLS = 4
"""Those of `_set_up`: from then on nobody gets in without the right key."""


@dataclass(frozen=True)
class ObjectStore:
    url: str
    key_id: str
    secret: str
    process: "subprocess.Popen[bytes]"

    @property
    def variables(self) -> dict[str, str]:
        """What the coordinator is told of it in its environment, by the standard's names."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": _REGION,
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def client(self) -> Any:
        return _client("s3", self.url, self.key_id, self.secret)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


def _client(service: str, url: str, key_id: str = "nobody", secret: str = "nothing") -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name=_REGION, aws_access_key_id=key_id, aws_secret_access_key=secret
    )


@contextmanager
def running_object_store(port: int) -> Iterator[ObjectStore]:
    url = f"http://127.0.0.1:{port}"
    code = "import sys; from moto.server import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, "-H", "127.0.0.1", "-p", str(port)],
        env={"INITIAL_NO_AUTH_ACTION_COUNT": str(_UNCHECKED_CALLS), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _answers(url), 60, "the object store")
        yield _set_up(url, process)
    finally:
        process.kill()
        process.wait(timeout=10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/moto-api/", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _set_up(url: str, process: "subprocess.Popen[bytes]") -> ObjectStore:
    _client("s3", url).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": _REGION})
    iam = _client("iam", url)
    iam.create_user(UserName="coordinator")
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", '
        '"Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]}]}'
    )
    iam.put_user_policy(UserName="coordinator", PolicyName="artifacts", PolicyDocument=policy)
    key = iam.create_access_key(UserName="coordinator")["AccessKey"]
    return ObjectStore(url, key["AccessKeyId"], key["SecretAccessKey"], process)
