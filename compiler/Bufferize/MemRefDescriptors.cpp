// See MemRefDescriptors.h. Descriptors meet memrefs in unrealized casts, which the upstream conversions fold away.
#include "compiler/Bufferize/MemRefDescriptors.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace {

struct Layout {
  SmallVector<int64_t> strides;
  int64_t offset;
  bool rowMajor; // identity: dynamic strides follow from the sizes
};

FailureOr<Layout> layoutOf(MemRefType type) {
  Layout layout;
  if (failed(type.getStridesAndOffset(layout.strides, layout.offset)))
    return failure();
  layout.rowMajor = type.getLayout().isIdentity();
  return layout;
}

/// {allocated, aligned, offset, [rank x size], [rank x stride]}
LLVM::LLVMStructType descriptorType(MemRefType type) {
  MLIRContext *context = type.getContext();
  auto pointer = LLVM::LLVMPointerType::get(context);
  auto i64 = IntegerType::get(context, 64);
  SmallVector<Type> fields{pointer, pointer, i64};
  if (int64_t rank = type.getRank())
    fields.append(2, LLVM::LLVMArrayType::get(i64, rank));
  return LLVM::LLVMStructType::getLiteral(context, fields);
}

struct Descriptor {
  OpBuilder &b;
  Location loc;
  Value value;

  void set(Value field, ArrayRef<int64_t> position) {
    value = LLVM::InsertValueOp::create(b, loc, value, field, position);
  }
  void setIndex(Value index, ArrayRef<int64_t> position) {
    set(arith::IndexCastOp::create(b, loc, b.getI64Type(), index), position);
  }
  Value get(ArrayRef<int64_t> position) { return LLVM::ExtractValueOp::create(b, loc, value, position); }
  Value getIndex(ArrayRef<int64_t> position) {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), get(position));
  }
};

Value build(OpBuilder &b, Location loc, MemRefType type, const Layout &layout, Value pointer, ArrayRef<Value> sizes,
            ArrayRef<Value> strides) {
  Descriptor descriptor{b, loc, LLVM::PoisonOp::create(b, loc, descriptorType(type))};
  descriptor.set(pointer, {0});
  descriptor.set(pointer, {1});
  int64_t offset = ShapedType::isDynamic(layout.offset) ? 0 : layout.offset;
  descriptor.set(LLVM::ConstantOp::create(b, loc, b.getI64IntegerAttr(offset)), {2});
  for (int64_t axis = 0; axis < type.getRank(); ++axis) {
    descriptor.setIndex(sizes[axis], {3, axis});
    descriptor.setIndex(strides[axis], {4, axis});
  }
  return UnrealizedConversionCastOp::create(b, loc, type, descriptor.value).getResult(0);
}

Value constantIndex(OpBuilder &b, Location loc, int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

SmallVector<Value> allSizes(OpBuilder &b, Location loc, MemRefType type, ValueRange dynamic) {
  SmallVector<Value> sizes;
  for (int64_t size : type.getShape())
    if (ShapedType::isDynamic(size)) {
      sizes.push_back(dynamic.front());
      dynamic = dynamic.drop_front();
    } else {
      sizes.push_back(constantIndex(b, loc, size));
    }
  return sizes;
}

SmallVector<Value> rowMajorStrides(OpBuilder &b, Location loc, ArrayRef<int64_t> known, ArrayRef<Value> sizes) {
  SmallVector<Value> strides(sizes.size());
  for (size_t axis = sizes.size(); axis-- > 0;)
    strides[axis] = !ShapedType::isDynamic(known[axis]) ? constantIndex(b, loc, known[axis])
                    : axis + 1 == sizes.size()
                        ? constantIndex(b, loc, 1)
                        : arith::MulIOp::create(b, loc, strides[axis + 1], sizes[axis + 1]).getResult();
  return strides;
}

} // namespace

FailureOr<SmallVector<Type>> mlc::openTypes(MemRefType type) {
  auto layout = layoutOf(type);
  if (failed(layout))
    return failure();
  SmallVector<Type> types{LLVM::LLVMPointerType::get(type.getContext())};
  int64_t open = type.getNumDynamicDims();
  if (!layout->rowMajor)
    open += llvm::count_if(layout->strides, ShapedType::isDynamic);
  types.append(open, IndexType::get(type.getContext()));
  return types;
}

SmallVector<Value> mlc::takeApart(OpBuilder &b, Location loc, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  Layout layout = *layoutOf(type);
  Value value = UnrealizedConversionCastOp::create(b, loc, descriptorType(type), memref).getResult(0);
  Descriptor descriptor{b, loc, value};
  Value pointer = descriptor.get({1});
  if (ShapedType::isDynamic(layout.offset))
    pointer = LLVM::GEPOp::create(b, loc, pointer.getType(), type.getElementType(), pointer, descriptor.get({2}));
  SmallVector<Value> open{pointer};
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    if (type.isDynamicDim(axis))
      open.push_back(descriptor.getIndex({3, axis}));
  if (!layout.rowMajor)
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (ShapedType::isDynamic(layout.strides[axis]))
        open.push_back(descriptor.getIndex({4, axis}));
  return open;
}

Value mlc::putTogether(OpBuilder &b, Location loc, MemRefType type, ValueRange open) {
  Layout layout = *layoutOf(type);
  int64_t dynamicCount = type.getNumDynamicDims();
  SmallVector<Value> sizes = allSizes(b, loc, type, open.drop_front().take_front(dynamicCount)), strides;
  if (layout.rowMajor) {
    strides = rowMajorStrides(b, loc, layout.strides, sizes);
  } else {
    ValueRange given = open.drop_front(1 + dynamicCount);
    for (int64_t stride : layout.strides)
      if (ShapedType::isDynamic(stride)) {
        strides.push_back(given.front());
        given = given.drop_front();
      } else {
        strides.push_back(constantIndex(b, loc, stride));
      }
  }
  return build(b, loc, type, layout, open.front(), sizes, strides);
}

Value mlc::putTogetherRowMajor(OpBuilder &b, Location loc, MemRefType type, Value pointer, ValueRange dynamicSizes) {
  Layout layout = *layoutOf(type);
  SmallVector<Value> sizes = allSizes(b, loc, type, dynamicSizes);
  return build(b, loc, type, layout, pointer, sizes, rowMajorStrides(b, loc, layout.strides, sizes));
}
