#define RL_SIMD_SCALAR
#include "kernel.h"

const rl_kernel_entry rl_kernel_scalar = {RL_SIMD, rl_run_kernel, rl_read_event, rl_read_values};
