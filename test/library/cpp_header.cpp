// mlc.hpp on a trainable digits library: prints logits for the test to compare, and checks the rest itself.
//
//   cpp_header LIBRARY.so CHECKPOINT < one image of 64 floats
#include "digits.h"
#include "mlc/mlc.hpp"
#include <array>
#include <cstdio>
#include <functional>

static int failures = 0;

static void expect(bool isTrue, const char *what) {
  if (!isTrue)
    std::printf("failed: %s\n", what);
  failures += !isTrue;
}

static void expectError(mlc_status status, const char *text, const std::function<void()> &call) {
  try {
    call();
    expect(false, text);
  } catch (const mlc::Error &error) {
    if (error.status() != status || std::string_view(error.what()).find(text) == std::string_view::npos)
      std::printf("status %d: %s\n", int(error.status()), error.what());
    expect(error.status() == status && std::string_view(error.what()).find(text) != std::string_view::npos, text);
  }
}

static void print(std::span<const float> logits) {
  for (float logit : logits)
    std::printf("%.9g ", double(logit));
  std::printf("\n");
}

static void runInEveryWay(const std::array<float, 64> &image) {
  mlc::Model model(digits_mlc_model_v1());
  mlc::Tensors results = model.run({{"image", image}});
  expect(results.size() == 1 && results[0].shape() == std::vector<int64_t>{1, 10}, "shape of the result");
  expect(results["logits"].as<double>().empty(), "no view of another type");
  print(results["logits"].as<float>());

  std::array<float, 10> logits{};
  std::vector<int64_t> shape;
  model.run({{"image", image, {1, 1, 8, 8}}}, {{"logits", logits, &shape}});
  expect(shape == std::vector<int64_t>{1, 10}, "actual shape");
  print(logits);

  mlc::Model moved = std::move(model);
  const float *pixels = image.data();
  moved.run({{"image", std::span(pixels, 64)}}, {{"logits", std::span(logits)}});
  print(logits);

  MLC_TYPED(digits) typed;
  typed(digits_run, digits_dims{1}, image, logits);
  print(logits);
  digits_dims tooMany = {-1};
  expectError(MLC_INVALID_ARGUMENT, "batch", [&] { typed(digits_run, tooMany, pixels, logits); });
  expect(!typed.lastError().empty(), "message of a typed call");
}

static mlc_options threads(int32_t count) {
  mlc_options options = {};
  options.threads = count;
  return options;
}

static void reflect(const char *path) {
  mlc::Library library{std::string(path)};
  mlc::Model model(library.model(), threads(1));
  expect(std::string_view(model.name()) == "digits" && std::string_view(model.symbols()[0]) == "batch", "names");
  expect(model.inputs().size() == 1 && model.inputs()[0].rank == 4 && model.outputs().size() == 1, "signature");
  expect(model.trainInputs().size() == 2 && model.params().size() == 6, "signature of training");
  expect(model.workspaceSize(std::array<int64_t, 1>{1}) > 0 && model.workspaceSize() == 0, "workspace");
  expect(std::string_view(model.manifest()).starts_with('{'), "manifest");
  expectError(MLC_IO_ERROR, "absent.so", [] { mlc::Library absent("./absent.so"); });
  expectError(MLC_IO_ERROR, "mlc_model_v1", [] { mlc::Library libm("libm.so.6"); });
}

static void refuse(const std::array<float, 64> &image) {
  mlc::Model model(digits_mlc_model_v1());
  std::array<float, 10> logits{};
  std::vector<double> doubles(64);
  std::vector<float> odd(63), none;
  auto invalid = [](const char *text, const std::function<void()> &call) {
    expectError(MLC_INVALID_ARGUMENT, text, call);
  };
  invalid("input \"x\": the model has none", [&] { model.run({{"image", image}, {"x", image}}); });
  invalid("input \"image\": is not given", [&] { model.run({}); });
  invalid("input \"image\": is given twice", [&] { model.run({{"image", image}, {"image", image}}); });
  invalid("63 elements do not make up its shape", [&] { model.run({{"image", odd}}); });
  invalid("elements do not agree", [&] { model.run({{"image", odd, {1, 1, 8, 8}}}); });
  invalid("the type is float64, expected float32", [&] { model.run({{"image", doubles}}); });
  invalid("the rank is 2, expected 4", [&] { model.run({{"image", image, {8, 8}}}); });
  invalid("dimension 2 is 4, expected 8", [&] { model.run({{"image", image, {1, 1, 4, 16}}}); });
  invalid("it has 10 elements, the memory 9",
          [&] { model.run({{"image", image}}, {{"logits", std::span(logits).first(9)}}); });
  invalid("output \"logits\": is not given", [&] { model.run({{"image", image}}, {}); });
  invalid("has another version", [] { mlc::Model nothing(static_cast<const mlc_model *>(nullptr)); });
  invalid("threads", [] { mlc::Model many(digits_mlc_model_v1(), threads(-1)); });
  expect(model.run({{"image", none}})[0].shape() == std::vector<int64_t>{0, 10}, "an empty batch");

  mlc::Model unmade; // the core neither throws nor needs a model
  mlc::Tensors results;
  mlc_tensor view;
  expect(unmade.tryRun({}, results) == MLC_INVALID_ARGUMENT && !unmade.lastError().empty(), "not created");
  expect(unmade.tryParam("x", view) == MLC_INVALID_ARGUMENT && unmade.trySave("x") == MLC_INVALID_ARGUMENT,
         "not created");
  expect(unmade.create(digits_mlc_model_v1()) == MLC_OK && unmade.lastError().empty(), "created later");
}

static void train(const std::array<float, 64> &image, const char *checkpoint) {
  mlc::Model model(digits_mlc_model_v1());
  std::array<int64_t, 1> label = {3};
  float first = model.trainStep({{"image", image}, {"label", label}})["loss"].as<float>()[0], loss = first;
  model.save(checkpoint);
  for (int step = 0; step < 20; ++step)
    model.trainStep({{"image", image}, {"label", label}}, {{"loss", std::span(&loss, 1)}});
  expect(loss < first / 2, "the loss falls");

  mlc::Model resumed(digits_mlc_model_v1());
  resumed.load(checkpoint);
  float second = resumed.trainStep({{"image", image}, {"label", label}})["loss"].as<float>()[0];
  expect(second < first, "training goes on where it was saved");
  std::ranges::fill(resumed.param<float>("fc.weight"), 0.0f);
  std::ranges::fill(resumed.param<float>("fc.bias"), 5.0f);
  expect(resumed.run({{"image", image}})[0].as<float>()[9] == 5.0f, "parameters are written in place");
  expectError(MLC_INVALID_ARGUMENT, "another element type", [&] { resumed.param<double>("fc.bias"); });
  expectError(MLC_INVALID_ARGUMENT, "fc.b", [&] { resumed.param<float>("fc.b"); });
  expectError(MLC_IO_ERROR, "absent", [&] { resumed.load("absent.safetensors"); });
  expectError(MLC_MODEL_ERROR, "label", [&] {
    label[0] = 99;
    resumed.trainStep({{"image", image}, {"label", label}});
  });
}

int main(int argc, char **argv) {
  std::array<float, 64> image;
  if (argc != 3 || std::fread(image.data(), sizeof image, 1, stdin) != 1)
    return 2;
  runInEveryWay(image);
  reflect(argv[1]);
  refuse(image);
  train(image, argv[2]);
  return failures ? 1 : 0;
}
