/* Which kernels this machine can run. */
#include "plan.h"

extern const rl_kernel_entry rl_kernel_scalar, rl_kernel_simd;
#if defined(__x86_64__) || defined(_M_X64)
extern const rl_kernel_entry rl_kernel_avx2;

static int rl_has_avx2(void)
{
#if defined(_MSC_VER) && !defined(__clang__)
    int info[4];
    __cpuid(info, 0);
    if (info[0] < 7)
        return 0;
    __cpuid(info, 1);
    /* The operating system must save the registers, too. */
    if ((info[2] >> 27 & 1) == 0 || (_xgetbv(0) & 6) != 6)
        return 0;
    __cpuidex(info, 7, 0);
    return (info[1] >> 5 & 1) && (info[1] >> 3 & 1) && (info[1] >> 8 & 1);
#else
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#endif
}
#endif

const rl_kernel_entry *rl_kernels(void)
{
    /* Written the same by whoever comes first. */
    static rl_kernel_entry found[4];
    int n = 0;
    found[n++] = rl_kernel_scalar;
    if (rl_kernel_simd.name != NULL)
        found[n++] = rl_kernel_simd;
#if defined(__x86_64__) || defined(_M_X64)
    if (rl_has_avx2())
        found[n++] = rl_kernel_avx2;
#endif
    return found;
}
