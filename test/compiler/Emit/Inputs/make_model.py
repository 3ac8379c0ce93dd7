"""Writes the model of the Emit tests: y = x * w + v over a symbolic batch, with names that are no C identifiers."""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

x = helper.make_tensor_value_info("double", TensorProto.FLOAT, ["batch size", 4])
v = helper.make_tensor_value_info("in/v:0", TensorProto.FLOAT, ["batch size", 3])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch size", 3])
w = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "w")
nodes = [helper.make_node("MatMul", ["double", "w"], ["p"]), helper.make_node("Add", ["p", "in/v:0"], ["y"])]
graph = helper.make_graph(nodes, "emit", [x, v], [y], [w])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), sys.argv[1])
