"""Build an ONNX graph node by node."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mixup_tab._extras import import_extra

# Versions of ONNX, and of its operators for trees and text, that onnxruntime and
# onnxruntime-web have supported for long.
OPSET, ML_OPSET, IR_VERSION = 18, 3, 10
ML = "ai.onnx.ml"

# Loggers of the exporters, to be silenced.
_TALKERS = ("torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir", "skl2onnx")


class Graph:
    """A graph in which equal nodes are shared.

    Values are referred to by name. All names but those of inputs and outputs begin with "/", as
    no column of a table should. An array is added as a constant.

    Parameters
    ----------
    in_double : bool, default=False
        Whether to compute MLPs in double precision, which takes twice the time.
    """

    def __init__(self, in_double: bool = False) -> None:
        self.in_double = in_double
        self._helper = import_extra("onnx.helper", "onnx")
        self._compose = import_extra("onnx.compose", "onnx")
        self._nodes: list[Any] = []
        self._known: dict[bytes, str] = {}
        self._constants: dict[tuple, Any] = {}
        self._opsets = {"": OPSET, ML: ML_OPSET}
        self._functions: list[Any] = []
        self._parts = 0
        self.inputs: dict[str, Any] = {}
        self.converted: list[str] = []  # types that skl2onnx converted

    def input(self, name: str, dtype: Any, shape: Sequence[int]) -> str:
        """Return an input with rows of a shape; repeated calls return the same one.

        Raises ValueError if it exists with another type.
        """
        kind = self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        value = self._helper.make_tensor_value_info(name, kind, ["rows", *shape])
        if self.inputs.setdefault(name, value) != value:
            raise ValueError(
                f"column {name!r} is a number for one part of the model and text for another. "
                "Fit one TableEncoder to all rows."
            )
        return name

    def constant(self, array: Any) -> str:
        """Return a constant; equal ones are shared."""
        array = np.ascontiguousarray(array).reshape(
            np.shape(array)
        )  # ascontiguousarray makes 0-d arrays 1-d
        content = array.tolist() if array.dtype == object else array.tobytes()
        key = array.dtype.str, array.shape, str(content)
        if key not in self._constants:
            name = f"/c{len(self._constants)}"
            made = import_extra("onnx.numpy_helper", "onnx").from_array
            self._constants[key] = made(array, name)
        return self._constants[key].name

    def __call__(
        self, kind: str, *inputs: Any, domain: str = "", outputs: int = 1, **attributes: Any
    ) -> str:
        """Return the result of an operator, the first if it has several."""
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        node = self._helper.make_node(kind, names, [], domain=domain, **attributes)
        key = node.SerializeToString(deterministic=True)
        if key not in self._known:
            self._known[key] = f"/v{len(self._nodes)}"
            node.output.extend(self._known[key] + "_" * k for k in range(outputs))
            self._nodes.append(node)
        return self._known[key]

    def cast(self, x: str, dtype: Any) -> str:
        """Return values cast to another type."""
        return self("Cast", x, to=self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def inline(self, model: Any, inputs: Sequence[str]) -> list[str]:
        """Add all nodes of another model, and return its outputs."""
        self._parts += 1
        prefix = f"/part{self._parts}/"
        inner = self._compose.add_prefix(model, prefix)
        names = [value.name for value in inner.graph.input]
        for name, outer in zip(names, inputs, strict=True):
            self._nodes.append(self._helper.make_node("Identity", [outer], [name]))
        self._nodes += inner.graph.node
        self._constants |= {(tensor.name,): tensor for tensor in inner.graph.initializer}
        for opset in inner.opset_import:
            self._opsets[opset.domain] = max(opset.version, self._opsets.get(opset.domain, 1))
        self._functions += inner.functions
        return [value.name for value in inner.graph.output]

    def finished(self, outputs: dict[str, tuple[str, Any, Sequence[Any]]]) -> Any:
        """Return the model with named outputs, each a value with dtype and shape of a row.

        Raises ValueError if an input has the name of an output.
        """
        if taken := sorted(set(self.inputs) & set(outputs)):
            raise ValueError(f"column {taken[0]!r} has the name of an output. Rename it.")
        h = self._helper
        made = []
        for name, (value, dtype, shape) in outputs.items():
            self._nodes.append(h.make_node("Identity", [value], [name]))
            kind = h.np_dtype_to_tensor_dtype(np.dtype(dtype))
            made.append(h.make_tensor_value_info(name, kind, ["rows", *shape]))
        graph = h.make_graph(
            self._nodes,
            "mixup_tab",
            list(self.inputs.values()),
            made,
            list(self._constants.values()),
        )
        opsets = [h.make_opsetid(domain, version) for domain, version in self._opsets.items()]
        return h.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            functions=self._functions,
            producer_name="mixup-tab",
        )

    def net(self, module: nn.Module, x: str, example: Tensor) -> str:
        """Return the outputs of any torch module.

        Parameters
        ----------
        module : nn.Module
            The net, on the CPU.
        x : str
            Its inputs.
        example : Tensor, shape (rows, ...)
            Inputs of the same dtype.

        Raises
        ------
        ValueError
            If torch cannot export it; the message names the operations that are missing.
        """
        import_extra("onnxscript", "onnx")
        rows = torch.export.Dim("rows", min=1)
        try:
            with quiet(), torch.no_grad():
                program = torch.onnx.export(
                    module.eval(),
                    (example,),
                    dynamo=True,
                    dynamic_shapes=({0: rows},),
                    opset_version=OPSET,
                    verbose=False,
                )
        except Exception as error:
            raise ValueError(_why_not(module, error)) from error
        assert program is not None  # None only without dynamo=True
        return self.inline(program.model_proto, [x])[0]


def _why_not(module: nn.Module, error: Exception) -> str:
    """Return why torch does not export a net, from the causes of its error."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    name = type(getattr(module, "module", module)).__name__
    text = " ".join(map(str, causes))
    missing = sorted(set(re.findall(r"function found for <OpOverload\(op='([\w.:]+)'", text)))
    if missing:
        return f"{name} cannot be exported, because ONNX lacks {', '.join(missing)}."
    reason = str(causes[-1]).strip().partition("\n")[0]
    return f"{name} cannot be exported by torch.onnx.export: {reason}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence output, logs and warnings of the exporters."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    before = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
