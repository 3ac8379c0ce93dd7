// If this failed, a pass could leave weights, state or sizes behind that a later one or the emission reads as something else.
// RUN: %mlc-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{attribute rt.weights: expected a list of #rt.weight}}
module attributes {rt.weights = [dense<1.0> : tensor<4xf32>]} {}

// -----

// expected-error@+1 {{attribute rt.state: expected a list of #rt.slot, parameters first}}
module attributes {rt.state = [#rt.slot<name = "m", type = tensor<4xf32>>, #rt.slot<name = "w", type = tensor<4xf32>, parameter = true>]} {}

// -----

// expected-error@+1 {{state 'w' has no static shape: 'tensor<?xf32>'}}
module attributes {rt.state = [#rt.slot<name = "w", type = tensor<?xf32>>]} {}

// -----

// expected-error@+1 {{state 'w' is 'tensor<4xf32>' but begins as 'tensor<2xf32>'}}
module attributes {rt.state = [#rt.slot<name = "w", type = tensor<4xf32>, value = dense<1.0> : tensor<2xf32>>]} {}

// -----

// expected-error@+1 {{attribute rt.weight_bytes: expected no such attribute}}
module attributes {rt.weight_bytes = 4 : i64} {}

// -----

// expected-error@+1 {{attribute rt.data_sizes: expected pairs of a position and a bound}}
func.func private @f() attributes {rt.data_sizes = array<i64: 1>}

// -----

func.func @f(%n: index) {
  // expected-error@+1 {{needs one size for each of 2 open dimensions}}
  rt.result_shapes [array<i64: -9223372036854775808, 4>, array<i64: -9223372036854775808>] sizes(%n)
  return
}
