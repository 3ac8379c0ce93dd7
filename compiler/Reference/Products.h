// Sums of products on plain arrays, in double precision or 64-bit integers. Apart because they take nearly all of the reference's time
// and are compiled for speed.
#ifndef MLC_COMPILER_REFERENCE_PRODUCTS_H
#define MLC_COMPILER_REFERENCE_PRODUCTS_H
#include <cstdint>

namespace mlc::reference {

struct ProductSizes {
  int64_t rows, depth, columns;
};

/// z[i, j] += sum over k of x[i, k] * y[k, j], in the order of k.
void addProduct(ProductSizes sizes, const double *x, const double *y, double *z);
void addProduct(ProductSizes sizes, const int64_t *x, const int64_t *y, int64_t *z);

} // namespace mlc::reference
#endif
