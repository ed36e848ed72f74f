"""Nodes and constants of an ONNX graph in the making."""

from typing import Any


class GraphNodes:
    """What graphs of every architecture are put together with; a node has the name of its first output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def node(self, operator: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output and returns the name of that."""
        name = output or f"{operator}_{len(self.nodes)}"
        self.add_node(operator, inputs, [name], **attributes)
        return name

    def add_node(
        self, operator: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any
    ) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], domain=domain, **attributes))

    def array(self, name: str, values: Any) -> str:
        """A NumPy array within the graph; the same name again is the same array."""
        from onnx import numpy_helper

        if all(known.name != name for known in self.initializers):
            self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def integers(self, name: str, value: int | list[int]) -> str:
        import numpy

        return self.array(name, numpy.array(value, numpy.int64))
