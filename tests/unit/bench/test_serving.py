"""The comparison with nginx: only where there is one, and never with half a file."""

import psutil
import pytest

from tests.bench import serving
from tests.bench.lab import MeasureError
from tests.bench.servers import Served


def test_without_nginx_the_figure_is_left_out_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.serving.shutil.which", lambda _name, path=None: None)
    found, (left_out,) = serving.trials({})
    assert found == []
    assert "deploy/setup/nginx.sh" in left_out.why


def test_with_nginx_there_is_one_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.serving.shutil.which", lambda _name, path=None: "/usr/sbin/nginx")
    assert serving.trials({}) == ([serving.Serving("/usr/sbin/nginx")], [])


def test_a_server_that_gives_less_than_all_has_no_speed() -> None:
    served = Served("http://localhost:1/", psutil.Process())
    assert serving._speed(f"{serving.MODEL_BYTES} 0.5", served) == pytest.approx(2.6)
    with pytest.raises(MeasureError, match="gave 5 of"):
        serving._speed("5 0.5", served)
