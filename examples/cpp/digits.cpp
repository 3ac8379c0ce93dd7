// The generated header from C++: a handle that frees itself, and the model's sizes asked of the library.
//
//   mlc compile digits.onnx -o digits.so && c++ -std=c++17 digits.cpp digits.so -o digits && ./digits < images
//
// Reads float32 images of 8x8 pixels from standard input and prints the digit that each shows.
#include "digits.h"
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <vector>

using Image = std::array<float, 64>;
using Logits = std::array<float, 10>;

int main() {
  std::vector<Image> images;
  for (Image image; std::fread(image.data(), sizeof image, 1, stdin) == 1;)
    images.push_back(image);

  digits *created = nullptr;
  if (digits_create(nullptr, &created) != MLC_OK) {
    std::fprintf(stderr, "error: %s\n", digits_last_error(nullptr));
    return 1;
  }
  std::unique_ptr<digits, void (*)(digits *)> model(created, digits_destroy);

  digits_dims dims = {static_cast<int64_t>(images.size())};
  std::vector<Logits> logits(images.size());
  if (digits_run(model.get(), &dims, images.data()->data(), logits.data()->data()) != MLC_OK) {
    std::fprintf(stderr, "error: %s\n", digits_last_error(model.get()));
    return 1;
  }
  for (const Logits &row : logits)
    std::printf("%d\n", static_cast<int>(std::max_element(row.begin(), row.end()) - row.begin()));
}
