// If this failed, a model that cannot be trained would get a step that does nothing, or crash the compiler.
// RUN: %mlc-opt %s --split-input-file --add-training='trainable=fc*' --verify-diagnostics

// expected-error@+1 {{--trainable: no floating-point initializer of the model matches}}
func.func @main(%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
  %w = core.constant {name = "conv.w"} dense<1.0> : tensor<4x2xf32>
  %y = core.mul %x, %w : tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// expected-error@+1 {{--loss=cross_entropy needs a first output float[N, C] of logits, found 'tensor<4xf32>'}}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %w = core.constant {name = "fc.w"} dense<1.0> : tensor<4xf32>
  %y = core.mul %x, %w : tensor<4xf32>
  return %y : tensor<4xf32>
}
