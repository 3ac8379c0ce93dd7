// If this failed, a training step would update the wrong state, or inference would not see what training wrote.
// RUN: %mlc-opt %s --split-input-file --add-training='loss=mse optimizer=sgd learning-rate=0.25' --canonicalize --verify-diagnostics | FileCheck %s
// RUN: %mlc-opt %s --split-input-file --add-training='loss=mse optimizer=sgd momentum=0.5' --verify-diagnostics | FileCheck %s --check-prefix=MOMENTUM
// RUN: %mlc-opt %s --split-input-file --add-training='loss=mse optimizer=adam trainable=fc*' --verify-diagnostics | FileCheck %s --check-prefix=ADAM

// The initializer becomes a parameter of both functions, and state with its initial value. The target has the output's shape and
// symbol; w - rate * gradient is assigned; the step returns the loss. Integers are no parameters.
// CHECK:       module attributes {rt.state = [#rt.slot<name = "fc.w", type = tensor<4xf32>, parameter = true, value = dense<1.000000e+00> : tensor<4xf32>>]}
// CHECK-LABEL: func.func @main(
// CHECK:         %[[W:.*]] = core.parameter "fc.w"
// CHECK:         core.mul %{{.*}}, %{{.*}} : tensor<?x4xf32>
// CHECK-NOT:     core.assign
// CHECK-LABEL: func.func @train_step(
// CHECK-SAME:    %[[X:.*]]: tensor<?x4xf32> {{{.*}}}, %[[TARGET:.*]]: tensor<?x4xf32> {onnx.dims = ["n", ""], onnx.name = "target"}) -> (tensor<f32> {onnx.dims = [], onnx.name = "loss"})
// CHECK-DAG:     %[[RATE:.*]] = core.constant dense<2.500000e-01>
// CHECK-DAG:     %[[W:.*]] = core.parameter "fc.w"
// CHECK:         %[[D:.*]] = core.sub %{{.*}}, %[[TARGET]]
// CHECK:         %[[LOSS:.*]] = core.div
// CHECK:         %[[GRADIENT:.*]] = core.reduce sum %{{.*}} axes = [0] : tensor<?x4xf32> to tensor<4xf32>
// CHECK:         %[[STEP:.*]] = core.mul %[[GRADIENT]], %[[RATE]]
// CHECK:         %[[NEW:.*]] = core.sub %[[W]], %[[STEP]]
// CHECK:         core.assign "fc.w", %[[NEW]]
// CHECK:         return %[[LOSS]]

// The optimizer's own state follows the parameters; it has no initial value: it begins with zeros.
// MOMENTUM:       rt.state = [#rt.slot<name = "fc.w", {{.*}}>, #rt.slot<name = "fc.w.momentum", type = tensor<4xf32>>]
// MOMENTUM-LABEL: func.func @train_step(
// MOMENTUM:         %[[OLD:.*]] = core.parameter "fc.w.momentum"
// MOMENTUM:         %[[NEW:.*]] = core.add
// MOMENTUM:         core.assign "fc.w.momentum", %[[NEW]]
// MOMENTUM:         core.assign "fc.w"

// ADAM:       #rt.slot<name = "optimizer.step", type = tensor<f32>>, #rt.slot<name = "fc.w.exp_avg", {{.*}}>, #rt.slot<name = "fc.w.exp_avg_sq",
// ADAM-LABEL: func.func @train_step(
// ADAM-DAG:     core.assign "optimizer.step"
// ADAM-DAG:     core.assign "fc.w.exp_avg"
// ADAM-DAG:     core.assign "fc.w.exp_avg_sq"
// ADAM:         core.assign "fc.w"
func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["n", ""]}) -> (tensor<?x4xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %w = core.constant {name = "fc.w"} dense<1.0> : tensor<4xf32>
  %i = core.constant {name = "axes"} dense<1> : tensor<1xi64>
  %b = core.broadcast %w axes = [1] sizes = [%n, 4] : tensor<4xf32> to tensor<?x4xf32>
  %y = core.mul %x, %b : tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// One that the loss does not depend on gets a gradient of zeros, and is still assigned. A pattern that does not match it leaves it a
// constant.
// CHECK-LABEL: func.func @train_step(
// CHECK-DAG:     core.assign "fc.w"
// CHECK-DAG:     core.assign "other"
// ADAM-LABEL:  func.func @train_step(
// ADAM:          core.constant {name = "other"}
// ADAM-NOT:      core.assign "other"
func.func @main() -> (tensor<4xf32> {onnx.name = "y", onnx.dims = [""]}, tensor<4xf32> {onnx.name = "z", onnx.dims = [""]}) {
  %w = core.constant {name = "fc.w"} dense<1.0> : tensor<4xf32>
  %o = core.constant {name = "other"} dense<1.0> : tensor<4xf32>
  %y = core.tanh %w : tensor<4xf32>
  %z = core.tanh %o : tensor<4xf32>
  return %y, %z : tensor<4xf32>, tensor<4xf32>
}
