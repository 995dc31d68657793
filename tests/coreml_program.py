"""Rebuilds a graph as an ML Program with coremltools' definitions of the operators, which run anywhere: each checks the types and shapes that it is given
and says what it gives. Operators are those that ONNX Runtime's builders write (onnxruntime/core/providers/coreml/builders/impl)."""
import logging

import numpy as np
import onnx

logging.disable(logging.ERROR)          # it says that it cannot load CoreML itself
import coremltools as ct  # noqa: E402
from coremltools.converters.mil import Builder as mb  # noqa: E402
from coremltools.converters.mil.mil import types  # noqa: E402

logging.disable(logging.NOTSET)

TYPES = {onnx.TensorProto.FLOAT: (types.fp32, np.float32), onnx.TensorProto.FLOAT16: (types.fp16, np.float16)}
PLAIN = {"Add": mb.add, "Sub": mb.sub, "Mul": mb.mul, "Div": mb.real_div, "Max": mb.maximum}
UNARY = {"Erf": mb.erf, "Sqrt": mb.sqrt, "Tanh": mb.tanh, "Sigmoid": mb.sigmoid, "Relu": mb.relu, "Identity": mb.identity}
REDUCE = {"ReduceMean": mb.reduce_mean, "ReduceMax": mb.reduce_max, "ReduceSum": mb.reduce_sum}


def build_node(g, node, values):
    """The results of a node."""
    op, x = node.op_type, [values[n] for n in node.input if n in values]
    whole = lambda i: [int(k) for k in np.atleast_1d(g.constant(node.input[i]))]      # noqa: E731
    if op in PLAIN:
        return [PLAIN[op](x=x[0], y=x[1])]
    if op in UNARY:
        return [UNARY[op](x=x[0])]
    if op in REDUCE:
        return [REDUCE[op](x=x[0], axes=whole(1), keep_dims=bool(g.attribute(node, "keepdims", 1)))]
    if op == "MatMul":
        return [mb.matmul(x=x[0], y=x[1])]
    if op == "Softmax":
        return [mb.softmax(x=x[0], axis=g.attribute(node, "axis", -1))]
    if op == "Transpose":
        return [mb.transpose(x=x[0], perm=list(g.attribute(node, "perm")))]
    if op == "Reshape":
        return [mb.reshape(x=x[0], shape=[n or x[0].shape[i] for i, n in enumerate(whole(1))])]
    if op == "Concat":
        return [mb.concat(values=x, axis=g.attribute(node, "axis"))]
    if op == "Split":
        return mb.split(x=x[0], split_sizes=whole(1), axis=g.attribute(node, "axis", 0))
    if op == "Cast":
        return [mb.cast(x=x[0], dtype={onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16"}[g.attribute(node, "to")])]
    if op == "LayerNormalization":
        kind = TYPES[g.types[node.input[0]][0]][1]
        more = {"beta": g.constant(node.input[2])} if len(node.input) > 2 else {}
        return [mb.layer_norm(x=x[0], axes=[-1], gamma=g.constant(node.input[1]), epsilon=kind(g.attribute(node, "epsilon", 1e-5)), **more)]
    raise ValueError("%s has no counterpart here" % op)


def faults(g):
    """Where the program is not to be built, or gives other types or shapes than the graph: a line each."""
    out = []

    def body(*ports):
        values = {v.name: p for v, p in zip(g.model.graph.input, ports)}
        values.update({name: g.constant(name) for name, t in g.constants.items() if t.data_type in TYPES})
        for node in g.nodes:
            results = build_node(g, node, values)
            for name, result in zip(node.output, results):
                kind, shape = g.types[name]
                if list(result.shape) != shape or result.dtype != TYPES[kind][0]:
                    out.append("%s (%s): %s %s, and in the graph %s %s" % (node.name, node.op_type, result.dtype, list(result.shape), TYPES[kind][0], shape))
                values[name] = result
        return [values[v.name] for v in g.model.graph.output]

    specs = [mb.TensorSpec(tuple(g.types[v.name][1]), TYPES[g.types[v.name][0]][0]) for v in g.model.graph.input]
    try:
        # A function of as many named parameters as there are ports.
        names = ["port%d" % i for i in range(len(specs))]
        scope = {"body": body}
        exec("def main(%s):\n    return body(%s)" % (", ".join(names), ", ".join(names)), scope)      # coremltools reads the signature
        mb.program(input_specs=specs, opset_version=ct.target.iOS18)(scope["main"])
    except Exception as e:                                      # noqa: BLE001: whatever a definition says
        out.append("%s: %s" % (type(e).__name__, e))
    return out
