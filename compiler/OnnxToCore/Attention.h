// What fused attentions share with Attention.
#ifndef MLC_COMPILER_ONNXTOCORE_ATTENTION_H
#define MLC_COMPILER_ONNXTOCORE_ATTENTION_H
#include "compiler/OnnxToCore/Compose.h"

namespace mlc::decompose {

/// [batch, sequence, heads * size] as [batch, heads, sequence, size]. `what` names it in errors.
std::optional<Expr> splitHeads(Node &n, Expr x, int64_t heads, StringRef what);
/// The reverse.
Expr joinHeads(Expr x);
/// Scores [.., queries, keys] of keys behind the query become `hidden`; query 0 is key number `past`.
Expr hideLaterKeys(Expr scores, OpFoldResult past, Expr hidden);

} // namespace mlc::decompose
#endif
