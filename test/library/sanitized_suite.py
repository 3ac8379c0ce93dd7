"""Runs many models in one process under AddressSanitizer, whose library is loaded first: a child of test_sanitized_suite.py.

    sanitized_suite.py RUNTIME.so JOBS

RUNTIME.so holds the runtime and sanitized_suite.c, instrumented. JOBS is a pickle of {name: (library, code, [feeds])}: `library` is an
ordinary one, `code` the instrumented kernels and entries of the same model. Prints the name of each model before it runs, so that what
follows belongs to it; the results go to JOBS.out, one pickle (name, [outputs or message]) after the other.
"""
import ctypes
import pathlib
import pickle
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/onnx"))
sys.dont_write_bytecode = True

import mlc_backend  # noqa: E402
import numpy as np  # noqa: E402

MESSAGE_BYTES = 512


def run(runtime, library, code, feeds):
    arrays = library._inputs(library.inputs, feeds)
    results = [np.zeros(shape, info.dtype) for info, shape in
               zip(library.outputs, library.output_shapes(library.bind(library.inputs, arrays)))]
    element_bytes = (ctypes.c_int64 * max(1, len(arrays) + len(results)))(*[array.itemsize for array in [*arrays, *results]])
    outputs, message = library._tensors(results), ctypes.create_string_buffer(MESSAGE_BYTES)
    status = runtime.sanitized_run(ctypes.byref(library.model), code.model_main, code.model_sizes, library._tensors(arrays), outputs,
                                   element_bytes, message)
    if status:
        return f"status {status}: {message.value.decode()}"
    return [mlc_backend.at_actual_shape(result, tensor) for result, tensor in zip(results, outputs)]


def main():
    runtime = ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)  # kernels find mlc_rt_parallel_for there
    jobs = pickle.loads(pathlib.Path(sys.argv[2]).read_bytes())
    with open(sys.argv[2] + ".out", "wb") as results:
        for name, (path, code, all_feeds) in jobs.items():
            print(name, flush=True)
            with mlc_backend.Library(path) as library:
                instrumented = ctypes.CDLL(code)
                pickle.dump((name, [run(runtime, library, instrumented, feeds) for feeds in all_feeds]), results)
            results.flush()


if __name__ == "__main__":
    main()
