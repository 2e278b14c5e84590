/* The kernel for what every processor of the architecture has. */
#include "plan.h"

#if defined(__x86_64__) || defined(_M_X64) || defined(__aarch64__) || defined(_M_ARM64)
#include "kernel.h"
const rl_kernel_entry rl_kernel_simd = {RL_SIMD, rl_run_kernel, rl_read_event, rl_read_values};
#else
const rl_kernel_entry rl_kernel_simd = {NULL, NULL, NULL, NULL};
#endif
