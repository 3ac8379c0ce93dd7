// The messages of ONNX's schema under a name of their own: `pb::GraphProto`, since `onnx::` is our dialect.
#ifndef MLC_COMPILER_IMPORT_ONNXPROTO_H
#define MLC_COMPILER_IMPORT_ONNXPROTO_H
#include "onnx-ml.pb.h"

namespace mlc {
namespace pb = ::onnx;
} // namespace mlc
#endif
