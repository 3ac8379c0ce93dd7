#!/bin/sh
# symbols.sh: if this fails, generated libraries need more than libc, libm and the dynamic loader, or the runtime grew
# too large. Usage: symbols.sh LLVM_BIN_DIR mlc_runtime.bc
set -eu
bin=$1
bitcode=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0

allowed='__errno_location __tls_get_addr aligned_alloc bcmp close dladdr dlopen dlsym free fstat fsync getauxval getpid malloc memchr memcmp
memcpy memmove memset mmap munmap open pread pthread_create pthread_join pthread_sigmask rename sched_yield sigfillset snprintf strchr
strcmp strcspn strerror strlen strncmp strrchr strstr syscall sysconf unlink vsnprintf write _GLOBAL_OFFSET_TABLE_'

# As the compiler does it: only the entry points stay, everything is optimised for size.
entries='mlc_rt_parallel_for,mlc_rt_fail,mlc_rt_launch,mlc_rt_commit,mlc_rt_workspace_size,mlc_rt_output_shapes,mlc_rt_create,mlc_rt_destroy'
entries="$entries,mlc_rt_call,mlc_rt_call_tensors,mlc_rt_param,mlc_rt_save,mlc_rt_load,mlc_rt_last_error,mlc_rt_result_shapes"
"$bin/opt" -passes='internalize,default<Os>' -internalize-public-api-list="$entries" "$bitcode" -o "$folder/runtime.bc"
"$bin/llc" -O2 -relocation-model=pic -function-sections -filetype=obj "$folder/runtime.bc" -o "$folder/runtime.o"

for symbol in $("$bin/llvm-nm" -u --format=just-symbols "$folder/runtime.o"); do
  case " $(echo $allowed) " in
  *" $symbol "*) passed=$((passed + 1)) ;;
  *)
    failed=$((failed + 1))
    echo "symbols.sh: the runtime needs $symbol"
    ;;
  esac
done

defined=$("$bin/llvm-nm" --defined-only --extern-only --format=just-symbols "$folder/runtime.o" | sort | tr '\n' ' ')
expected=$(echo "$entries" | tr ',' '\n' | sort | tr '\n' ' ')
if [ "$defined" = "$expected" ]; then passed=$((passed + 1)); else
  failed=$((failed + 1))
  echo "symbols.sh: defined are: $defined"
fi

bytes=$("$bin/llvm-size" "$folder/runtime.o" | awk 'NR == 2 { print $1 }')
echo "runtime: $bytes bytes of code and constants"
if [ "$bytes" -lt 65536 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
