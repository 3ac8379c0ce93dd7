// The library of bounded.c through mlc.hpp: prints what is not zero of 3 0 0 4 5 0, in both ways to run.
#include "mlc/mlc.hpp"
#include <cstdio>

int main(int, char **argv) {
  mlc::Library library{std::string(argv[1])};
  mlc::Model model(library.model());
  std::vector<float> x = {3, 0, 0, 4, 5, 0}, y(x.size());
  mlc::Tensors results = model.run({{"x", x}});
  for (float value : results["y"].as<float>())
    std::printf("%g ", double(value));
  std::vector<int64_t> shape;
  model.run({{"x", x}}, {{"y", y, &shape}});
  for (int64_t index = 0; index < shape.at(0); ++index)
    std::printf("%g ", double(y[size_t(index)]));
}
