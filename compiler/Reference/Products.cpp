// See Products.h. Columns are cut so that a strip of y stays in the cache over all rows; four steps of k share a pass over z.
#include "compiler/Reference/Products.h"
#include <algorithm>

namespace mlc::reference {

// Integers wrap around, which only unsigned ones may.
static double multiplyAdd(double x, double y, double z) { return z + x * y; }
static uint64_t multiplyAdd(uint64_t x, uint64_t y, uint64_t z) { return z + x * y; }

template <typename T>
static void addStrip(ProductSizes sizes, int64_t first, int64_t last, const T *x, const T *y, T *z) {
  int64_t n = sizes.columns;
  for (int64_t i = 0; i < sizes.rows; ++i) {
    const T *row = x + i * sizes.depth;
    T *__restrict out = z + i * n;
    int64_t k = 0;
    for (; k + 4 <= sizes.depth; k += 4) {
      const T *a = y + k * n, *b = a + n, *c = b + n, *d = c + n;
      for (int64_t j = first; j < last; ++j)
        out[j] = multiplyAdd(
            row[k + 3], d[j],
            multiplyAdd(row[k + 2], c[j], multiplyAdd(row[k + 1], b[j], multiplyAdd(row[k], a[j], out[j]))));
    }
    for (; k < sizes.depth; ++k)
      for (int64_t j = first; j < last; ++j)
        out[j] = multiplyAdd(row[k], y[k * n + j], out[j]);
  }
}

template <typename T> static void addStrips(ProductSizes sizes, const T *x, const T *y, T *z) {
  constexpr int64_t cacheBytes = 512 << 10;
  int64_t width = std::max<int64_t>(16, cacheBytes / int64_t(sizeof(T)) / std::max<int64_t>(sizes.depth, 1));
  for (int64_t first = 0; first < sizes.columns; first += width)
    addStrip(sizes, first, std::min(first + width, sizes.columns), x, y, z);
}

void addProduct(ProductSizes sizes, const double *x, const double *y, double *z) { addStrips(sizes, x, y, z); }
void addProduct(ProductSizes sizes, const int64_t *x, const int64_t *y, int64_t *z) {
  addStrips(sizes, reinterpret_cast<const uint64_t *>(x), reinterpret_cast<const uint64_t *>(y),
            reinterpret_cast<uint64_t *>(z));
}

} // namespace mlc::reference
