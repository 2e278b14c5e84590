/* The few operations on many bytes, for the instruction set that is compiled for: rl_scan, rl_short_text, rl_match_long, rl_parse_uuid.
 * RL_SIMD_SCALAR and RL_SIMD_AVX2 ask for another one than what every processor of the architecture has. */
#ifndef RLFAST_SIMD_H
#define RLFAST_SIMD_H

#if defined(RL_SIMD_SCALAR)
#include "simd_scalar.h"
#elif defined(RL_SIMD_AVX2)
#include "simd_avx2.h"
#elif defined(__x86_64__) || defined(_M_X64)
#include "simd_sse2.h"
#elif defined(__aarch64__) || defined(_M_ARM64)
#include "simd_neon.h"
#else
#include "simd_scalar.h"
#endif

#endif
