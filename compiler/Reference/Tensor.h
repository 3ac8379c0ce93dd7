// Tensors of the reference: plain row-major arrays of eight-byte words, whatever the element type is. A real is a double, an integer an
// int64_t that holds the value of its width (64-bit unsigned ones: its bits). Nothing here knows of schedules, buffers or LLVM.
#ifndef MLC_COMPILER_REFERENCE_TENSOR_H
#define MLC_COMPILER_REFERENCE_TENSOR_H
#include "mlir/IR/BuiltinAttributeInterfaces.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/SmallVector.h"
#include <memory>
#include <optional>

namespace mlc::reference {

using Shape = llvm::SmallVector<int64_t, 6>;
using Strides = Shape;

struct Element {
  enum Kind { Real, Signed, Unsigned } kind = Real; // bool is unsigned
  unsigned width = 32;
  const llvm::fltSemantics *semantics = nullptr; // of reals

  static std::optional<Element> of(mlir::Type type);
  /// Of a type by ONNX's number, which is also that of mlc_dtype; nothing for types that a library cannot pass.
  static std::optional<Element> of(int32_t dtype);
  /// Its inverse; 0 for types that a library cannot pass.
  int32_t dtype() const;
  bool isReal() const { return kind == Real; }
  unsigned bytes() const { return width < 8 ? 1 : width / 8; }

  /// The nearest number that the type has, halves to even.
  double round(double x) const;
  /// The value of the low bits of an integer, as the width and sign say.
  int64_t wrap(int64_t x) const;
};

class Tensor {
public:
  Element element;
  Shape shape;

  Tensor() = default;
  /// Zeros.
  Tensor(Element element, llvm::ArrayRef<int64_t> shape);

  int64_t count() const;
  Strides strides() const;
  double *reals() const { return reinterpret_cast<double *>(words.get()); }
  int64_t *integers() const { return reinterpret_cast<int64_t *>(words.get()); }
  const char *bytes() const { return words.get(); }
  void copyWord(int64_t to, const Tensor &source, int64_t from) { memcpy(&words[8 * to], &source.words[8 * from], 8); }

  /// The same elements in another shape.
  Tensor reshaped(llvm::ArrayRef<int64_t> shape) const;

  /// From and to elements as models keep them: little endian, a bool is one byte. Writing rounds reals to the element type.
  static Tensor read(Element element, llvm::ArrayRef<int64_t> shape, const char *data);
  void write(char *data) const;
  /// Nothing if the attribute is of a kind that models do not have.
  static std::optional<Tensor> read(mlir::ElementsAttr attribute);

private:
  std::shared_ptr<char[]> words;
};

int64_t product(llvm::ArrayRef<int64_t> sizes);

/// Visits every position of `shape` in row-major order with the offset of each of several operands, which move by their strides.
template <size_t N, typename F>
void walk(llvm::ArrayRef<int64_t> shape, const std::array<Strides, N> &strides, std::array<int64_t, N> offsets,
          F visit) {
  if (product(shape) == 0)
    return;
  Shape position(shape.size(), 0);
  while (true) {
    visit(offsets);
    size_t axis = shape.size();
    while (axis-- > 0) {
      for (size_t i = 0; i < N; ++i)
        offsets[i] += strides[i][axis];
      if (++position[axis] < shape[axis])
        break;
      for (size_t i = 0; i < N; ++i)
        offsets[i] -= strides[i][axis] * shape[axis];
      position[axis] = 0;
    }
    if (axis == size_t(-1))
      return;
  }
}

} // namespace mlc::reference
#endif
