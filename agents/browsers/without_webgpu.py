"""Takes WebGPU from a browser, for emulated devices that have none.

No switch does this: since Chrome has shipped WebGPU its runtime switch is gone, and `--enable-unsafe-webgpu` overrides
the others. So the browser's DevTools removes `navigator.gpu` from each page and each worker before its first line runs,
which is what a page finds in a browser without WebGPU.
"""

from agents.probes.cdp import Parameters

_SCRIPT = """
for (const name of ["Navigator", "WorkerNavigator"]) {
  if (name in globalThis) delete globalThis[name].prototype.gpu;
}
"""


class WithoutWebGpu:
    """A DevTools listener that only equips new targets."""

    commands: tuple[tuple[str, Parameters], ...] = (
        # Pages know the first two commands, workers the third; what a target does not know it refuses.
        ("Page.enable", {}),
        ("Page.addScriptToEvaluateOnNewDocument", {"source": _SCRIPT}),
        ("Runtime.evaluate", {"expression": _SCRIPT}),
    )

    def hear(self, method: str, parameters: Parameters, session: str | None, /) -> None:
        """Nothing to hear."""
