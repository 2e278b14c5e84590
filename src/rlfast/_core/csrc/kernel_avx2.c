/* The kernel for x86-64 processors since 2013, compiled for them whatever the rest is compiled for. */
#if defined(__x86_64__) || defined(_M_X64)
#if !defined(_MSC_VER) || defined(__clang__)
#include <immintrin.h>
#endif
/* The C library's headers come first: nothing of theirs shall be compiled for AVX2. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2")
#endif

#define RL_SIMD_AVX2
#include "kernel.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

const rl_kernel_entry rl_kernel_avx2 = {RL_SIMD, rl_run_kernel, rl_read_event, rl_read_values};
#endif
