#include "plan.h"
#include "uuid.h"

#include "lanes_scalar.h"
#include "kernel.h"

const rl_kernel_entry rl_kernel_scalar = {RL_LANES, rl_run_kernel, rl_read_event, rl_read_values};
