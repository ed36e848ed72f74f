// Draws the curves that stand beside their tables: `data-chart` is where the points are.
"use strict";
{
  const HEIGHT = 220;
  const DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3], [1, 4], [12, 4]];
  const HUES = ["--link", "--hue-fails", "--hue-fits", "--hue-wrong-output", "--hue-too-slow", "--hue-unsettled"];
  const drawn = new Map(); // figure → what is needed to draw it again

  const short = (value, digits = 3) => Number(value.toPrecision(digits)).toString();

  function words(unit, value) {
    if (value === null || value === undefined) return "–";
    switch (unit) {
      case "bytes": {
        const [size, name] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([least]) => value >= least) ?? [1, "B"];
        return `${short(value / size)} ${name}`;
      }
      case "seconds":
        return value < 1 ? `${short(value * 1000)} ms` : `${short(value)} s`;
      case "share":
        return `${short(value * 100)} %`;
      default:
        return `${short(value)} °C`;
    }
  }

  /** As the tables beside the curves say it: in UTC. Days where it is midnight, else the time. */
  function moment(seconds, whole) {
    const said = new Date(seconds * 1000).toISOString();
    const [day, time] = [said.slice(5, 10), said.slice(11, 16)];
    if (whole) return `${day} ${time} UTC`;
    return time === "00:00" ? day : time;
  }

  /** Ticks less than a minute apart need their seconds. */
  function moments(ticks) {
    const isFine = ticks.length > 1 && ticks[1] - ticks[0] < 60;
    return ticks.map((tick) => (isFine ? new Date(tick * 1000).toISOString().slice(11, 19) : moment(tick, false)));
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // A canvas knows nothing of `light-dark()`: the browser resolves it on an element.
  function resolved(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found || colour(name);
  }

  function options(told, width) {
    const ink = resolved("--dim");
    const line = resolved("--line");
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif" };
    const isTime = told.across === "time";
    const across = { seconds: (value) => `${short(value)} s`, repetition: (value) => short(value), chunk: (value) => short(value) }[told.across];
    const few = told.x.length <= 60;
    return {
      width,
      height: HEIGHT,
      padding: [null, 28, null, null], // the last tick's words are wider than half a point
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { drag: { x: false, y: false } },
      legend: { live: true, markers: { dash: (_, index) => (index === 1 ? "solid" : index % 2 ? "dotted" : "dashed") } },
      scales: { x: { time: isTime }, y: { range: (_, least, most) => [Math.min(0, least ?? 0), (most ?? 1) * 1.05 || 1] } },
      axes: [
        isTime ? { ...axis, values: (_, ticks) => moments(ticks) } : { ...axis, values: (_, ticks) => ticks.map(across), incrs: told.across === "repetition" || told.across === "chunk" ? [1, 2, 5, 10, 20, 50, 100, 200, 500] : undefined },
        { ...axis, size: 68, values: (_, ticks) => ticks.map((value) => words(told.unit, value)) },
      ],
      series: [
        isTime ? { label: told.across, value: (_, value) => (value === null ? "–" : moment(value, true)) } : { label: told.across, value: (_, value) => (value === null ? "–" : across(value)) },
        ...told.series.map((one, index) => ({
          label: one.name,
          stroke: resolved(HUES[index % HUES.length]),
          dash: DASHES[index % DASHES.length],
          width: 2,
          points: { show: few },
          spanGaps: false,
          value: (_, value) => words(told.unit, value),
        })),
      ],
    };
  }

  function draw(figure, told) {
    const plot = figure.querySelector(".plot");
    drawn.get(figure)?.chart.destroy();
    plot.hidden = false;
    const data = [told.x, ...told.series.map((one) => one.values)];
    const chart = new uPlot(options(told, plot.clientWidth), data, plot);
    drawn.set(figure, { chart, told, version: figure.dataset.version });
  }

  async function show(figure) {
    if (drawn.get(figure)?.version === figure.dataset.version) return;
    const isFirst = !drawn.has(figure);
    const plot = figure.querySelector(".plot");
    try {
      const response = await fetch(plot.dataset.chart);
      if (!response.ok) return; // the table stays as it is
      const told = await response.json();
      if (told.x.length < 2) return; // there is no curve through one point
      draw(figure, told);
    } catch {
      return;
    }
    if (isFirst) figure.querySelector("details").open = false;
  }

  const seen = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => show(entry.target)),
    { rootMargin: "400px" },
  );
  const look = () => document.querySelectorAll("figure.chart").forEach((figure) => {
    seen.unobserve(figure);
    seen.observe(figure);
  });
  const redraw = () => drawn.forEach(({ told }, figure) => (figure.isConnected ? draw(figure, told) : drawn.delete(figure)));

  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar comes and goes
    width = innerWidth;
    drawn.forEach(({ chart }, figure) => chart.setSize({ width: figure.querySelector(".plot").clientWidth, height: HEIGHT }));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  document.addEventListener("live:refreshed", look);
  look();
}
