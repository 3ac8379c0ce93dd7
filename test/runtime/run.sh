#!/bin/sh
# run.sh: builds the runtime three times (plain, ThreadSanitizer, AddressSanitizer with UndefinedBehaviorSanitizer),
# runs all its tests in each, and prints one line `N passed, N failed` for all together. The last words of failing tests are
# shown. Usage: run.sh [build folder]
set -u
source=$(cd "$(dirname "$0")/../../runtime" && pwd)
build=${1:-${TMPDIR:-/tmp}/mlc-runtime-test}
passed=0 failed=0

for variant in plain thread address,undefined; do
  sanitize=$variant
  [ "$variant" = plain ] && sanitize=
  folder=$build/$variant
  mkdir -p "$folder"
  if ! cmake -S "$source" -B "$folder" -G Ninja -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 \
    "-DMLC_RUNTIME_SANITIZE=$sanitize" >"$folder/build.log" 2>&1 ||
    ! cmake --build "$folder" -j "${MLC_JOBS:-2}" >>"$folder/build.log" 2>&1; then
    tail -30 "$folder/build.log"
    echo "runtime ($variant): the build failed"
    failed=$((failed + 1))
    continue
  fi
  for test in abi_test pool_test call_test create_test checkpoint_test device_test "device_test fake" "symbols x86_64" "symbols aarch64"; do
    log=$folder/$(echo "$test" | tr ' ' '_').log
    case $test in
    symbols*) "$source/../test/runtime/symbols.sh" /usr/lib/llvm-22/bin "$folder/runtime/mlc_runtime_${test#* }.bc" ;;
    *fake) LD_LIBRARY_PATH=$folder/test/fake "$folder/test/runtime_device_test" fake ;;
    *) "$folder/test/runtime_$test" ;;
    esac >"$log" 2>&1
    status=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1)
    good=$(echo "$line" | sed 's/ passed.*//') bad=$(echo "$line" | sed 's/.*, //; s/ failed//')
    passed=$((passed + ${good:-0})) failed=$((failed + ${bad:-0}))
    # A crash, a leak or a data race ends with a status and without, or after, a clean count.
    [ "$status" != 0 ] && [ "${bad:-0}" = 0 ] && failed=$((failed + 1))
    if [ "$status" != 0 ]; then
      echo "runtime/$test ($variant): exit status $status"
      tail -25 "$log"
    fi
  done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
