import json
from pathlib import Path

import yaml

from grafana.fits_on_device import dashboard_json

GRAFANA = Path(__file__).parents[2] / "grafana"


def test_the_committed_dashboard_is_what_its_source_gives() -> None:
    committed = (GRAFANA / "dashboards/fits-on-device.json").read_text()
    assert committed == dashboard_json(), (
        "run 'python -m grafana.fits_on_device > grafana/dashboards/fits-on-device.json' and commit the result"
    )


def test_every_panel_asks_the_chosen_prometheus() -> None:
    panels = json.loads(dashboard_json())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for asking in (panel, *panel["targets"]):
            assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(dashboard_json())["panels"]:
        at = panel["gridPos"]
        covered = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not covered & taken, panel["title"]
        taken |= covered


def test_the_provisioned_datasource_is_one_that_the_dashboard_can_choose() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    (choice,) = [
        variable["query"]
        for variable in json.loads(dashboard_json())["templating"]["list"]
        if variable["type"] == "datasource"
    ]
    assert [source["type"] for source in provisioned["datasources"]] == [choice]
    assert provisioned["datasources"][0]["jsonData"]["timeInterval"] == scrape_interval()


def scrape_interval() -> str:
    config = yaml.safe_load((GRAFANA.parent / "deploy/prometheus/prometheus.yml").read_text())
    return str(config["global"]["scrape_interval"])
