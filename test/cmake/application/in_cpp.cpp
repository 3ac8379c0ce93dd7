// The same image as in_c.c, twice in one batch; prints the logits of both.
#include "any_batch.h"
#include "mlc/mlc.hpp"
#include <cstdio>

int main() {
  std::vector<float> images(128);
  for (size_t i = 0; i < images.size(); ++i)
    images[i] = float((i % 64 / 8 + i) % 2);
  mlc::Model model(any_batch_mlc_model_v1());
  mlc::Tensors results = model.run({{"image", images}});
  for (float logit : results["logits"].as<float>())
    std::printf("%.9g\n", double(logit));
}
