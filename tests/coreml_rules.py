"""What ONNX Runtime's CoreML provider takes of a graph in the ML Program format, as the sources of its versions 1.23 to 1.32 say (under
onnxruntime/core/providers/coreml). Only operators that are used here have rules; the others are refused.

A node that is not taken is computed by the cpu, and cuts what the provider has into parts. docs/coreml.md has the operators for readers.
"""
import onnx
from onnx import TensorProto

OLDEST, NEWEST = 23, 32                 # of ONNX Runtime 1.x
MOST_RANK = 5
F32, F16, I32, I64, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL

# operator: the inputs that must be constants (builders/impl/*_op_builder.cc).
OPERATORS = {
    "Add": [], "Sub": [], "Mul": [], "Div": [], "Max": [], "Erf": [], "Sqrt": [], "Tanh": [], "Sigmoid": [], "Relu": [], "Transpose": [], "Softmax": [], "Concat": [],
    "MatMul": [], "Cast": [], "Gemm": [1, 2], "Reshape": [1], "Split": [1], "Squeeze": [1], "Unsqueeze": [1], "ReduceMean": [1], "ReduceMax": [1], "ReduceSum": [1],
    "LayerNormalization": [1, 2], "Identity": [],
}
SINCE = {"Identity": 27}
LAST_OPSET = {23: 23, 24: 25, 25: 25, 26: 25, 27: 25}      # GetMaxSupportedOpSet; 27 from 1.28 on


class Graph:
    """A ModelProto's nodes, with type and shape of every value."""

    def __init__(self, model):
        self.model, self.nodes = model, list(model.graph.node)
        self.constants = {t.name: t for t in model.graph.initializer}
        self.types = {t.name: (t.data_type, list(t.dims)) for t in model.graph.initializer}
        for v in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
            t = v.type.tensor_type
            self.types[v.name] = (t.elem_type, [d.dim_value if d.HasField("dim_value") else None for d in t.shape.dim])
        self.producers = {name: n for n in self.nodes for name in n.output}

    def attribute(self, node, name, default=None):
        return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)

    def constant(self, name):
        return onnx.numpy_helper.to_array(self.constants[name])


def input_fault(g, node, minor):
    """HasSupportedInputs (builders/impl/base_op_builder.cc, helper.cc)."""
    for name in filter(None, node.input):
        if name not in g.types:
            return "%s has no shape" % name
        shape = g.types[name][1]
        if len(shape) > MOST_RANK:
            return "%s has %d dimensions" % (name, len(shape))
        if 0 in shape:
            return "%s has a dimension of 0" % name
    kind = g.types[node.input[0]][0]
    if node.op_type == "Cast":
        return None
    # Half precision is compiled out up to 1.23 (model/host_utils.h: CAN_BUILD_COREML6_OR_LATER asks for both SDKs).
    if kind not in ({F32} if minor < 24 else {F32, F16, I64} if node.op_type != "LayerNormalization" else {F32, F16}):
        return "type %s" % TensorProto.DataType.Name(kind)
    return None


def cast_fault(g, node, minor):
    kinds = {F32, F16, I32, I64} | ({BOOL} if minor >= 27 else set())
    if g.types[node.input[0]][0] not in kinds or g.attribute(node, "to") not in kinds:
        return "a Cast of such types"
    if minor < 24 and F16 in (g.types[node.input[0]][0], g.attribute(node, "to")):
        return "half precision"
    return "a Cast of what no node has made" if minor < 27 and node.input[0] not in g.producers else None


def operator_fault(g, node):
    """The builder's own IsOpSupportedImpl."""
    op, shapes = node.op_type, [g.types[n][1] for n in node.input if n]
    if op == "Reshape":
        if None in shapes[0]:
            return "a Reshape of free dimensions"
        if 0 in g.constant(node.input[1]) and g.attribute(node, "allowzero", 0):
            return "a Reshape to 0"
    if op == "MatMul" and (len(shapes[0]) == 1) != (len(shapes[1]) == 1):
        return "one side of rank 1"
    if op == "Gemm":
        if g.attribute(node, "transA", 0) or g.attribute(node, "alpha", 1.0) != 1 or g.attribute(node, "beta", 1.0) != 1:
            return "a Gemm with transA, alpha or beta"
        columns = shapes[1][0 if g.attribute(node, "transB", 0) else 1]
        if len(shapes) > 2 and shapes[2] not in ([], [1], [columns], [1, columns]):
            return "a Gemm's C of another shape"
    if op == "LayerNormalization" and (len(node.output) != 1 or g.attribute(node, "stash_type", 1) != 1):
        return "more outputs, or a stash type"
    if op == "Split":
        sizes = g.constant(node.input[1])
        if len(sizes) < 2 or sizes.sum() != shapes[0][g.attribute(node, "axis", 0)]:
            return "a Split into less than two, or not into all"
    if op == "Concat" and len(shapes) < 2:
        return "a Concat of one"
    return None


def node_fault(g, node, minor):
    """Why a node is not taken; None: it is."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS or minor < SINCE.get(node.op_type, OLDEST):
        return "not an operator of the provider"
    if next(o.version for o in g.model.opset_import if o.domain in ("", "ai.onnx")) > LAST_OPSET.get(minor, 27):
        return "a newer opset"
    for i in OPERATORS[node.op_type]:
        if i < len(node.input) and node.input[i] and node.input[i] not in g.constants:
            return "input %d is not a constant" % i
    return input_fault(g, node, minor) or (cast_fault(g, node, minor) if node.op_type == "Cast" else operator_fault(g, node))


def faults(g, minor):
    """What ONNX Runtime 1.minor would not give to CoreML: a line each. None at all: one partition of all nodes, with ports that it can bind."""
    out = ["%s (%s): %s" % (n.name, n.op_type, why) for n in g.nodes for why in [node_fault(g, n, minor)] if why]
    for v in [*g.model.graph.input, *g.model.graph.output]:
        if v.type.tensor_type.elem_type not in {F32, F16, I32, I64}:
            out.append("port %s: type" % v.name)
    return out
