// mlc.hpp: a model that frees itself, called by the names of its inputs and outputs; errors are exceptions.
//
//   mlc compile digits.onnx -o digits.so
//   c++ -std=c++20 -I<where mlc/mlc.hpp is> digits.cpp digits.so -Wl,-rpath,'$ORIGIN' -o digits && ./digits < images
//
// Reads float32 images of 8x8 pixels from standard input and prints the digit that each shows.
#include "digits.h"
#include "mlc/mlc.hpp"
#include <algorithm>
#include <cstdio>
#include <vector>

constexpr size_t pixelCount = 64, classCount = 10;

static std::vector<float> readPixels() {
  std::vector<float> pixels;
  float image[pixelCount];
  while (std::fread(image, sizeof image, 1, stdin) == 1)
    pixels.insert(pixels.end(), image, image + pixelCount);
  return pixels;
}

int main() try {
  mlc::Model model(digits_mlc_model_v1());
  std::vector<float> pixels = readPixels();
  mlc::Tensors results = model.run({{"image", pixels}}); // the batch size follows from the number of pixels
  std::span<const float> logits = results["logits"].as<float>();
  for (; !logits.empty(); logits = logits.subspan(classCount))
    std::printf("%d\n", int(std::max_element(logits.begin(), logits.begin() + classCount) - logits.begin()));
} catch (const mlc::Error &error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
