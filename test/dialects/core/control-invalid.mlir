// If this failed, a branch or a loop could leave something else than the results say.
// RUN: %mlc-opt %s --split-input-file --verify-diagnostics

func.func @if_c1(%c: tensor<1xi1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{C1: the condition is 'tensor<1xi1>', expected a scalar}}
  %z = core.if %c { core.yield %x : tensor<4xf32> } else { core.yield %x : tensor<4xf32> } : tensor<1xi1> -> tensor<4xf32>
  return %z : tensor<4xf32>
}

// -----
func.func @if_c2(%c: tensor<i1>, %x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{C2: a branch yields 'tensor<5xf32>' instead of 'tensor<4xf32>'}}
  %z = core.if %c { core.yield %x : tensor<4xf32> } else { core.yield %y : tensor<5xf32> } : tensor<i1> -> tensor<4xf32>
  return %z : tensor<4xf32>
}

// -----
func.func @if_c3(%c: tensor<i1>, %x: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error@+1 {{C3: 0 sizes for 1 dynamic dimensions}}
  %z = core.if %c { core.yield %x : tensor<?xf32> } else { core.yield %x : tensor<?xf32> } : tensor<i1> -> tensor<?xf32>
  return %z : tensor<?xf32>
}

// -----
func.func @loop_c1(%n: index, %c: tensor<i1>, %x: tensor<4xf32>) {
  // expected-error@+1 {{C1: the body does not yield the condition first}}
  %s, %y = core.loop %n while %c : tensor<i1> carry(%x : tensor<4xf32>) {
  ^bb0(%step: index, %v: tensor<4xf32>):
    core.yield %v : tensor<4xf32>
  } -> tensor<4xf32>
  return
}

// -----
func.func @loop_c2(%n: index, %x: tensor<4xf32>) {
  // expected-error@+1 {{C2: the body's first argument is not the step}}
  %s, %y = core.loop %n carry(%x : tensor<4xf32>) {
  ^bb0(%v: tensor<4xf32>):
    core.yield %v : tensor<4xf32>
  } -> tensor<4xf32>
  return
}

// -----
func.func @loop_c3(%n: index, %x: tensor<4xf32>, %z: tensor<5xf32>) {
  // expected-error@+1 {{C3: the body yields 'tensor<5xf32>' instead of 'tensor<4xf32>'}}
  %s, %y = core.loop %n carry(%x : tensor<4xf32>) {
  ^bb0(%step: index, %v: tensor<4xf32>):
    core.yield %z : tensor<5xf32>
  } -> tensor<4xf32>
  return
}
