// Marks what the host and a GPU both run: index arithmetic is written once and tested on the CPU.
#pragma once

#if defined(__CUDACC__)
#define ATTNSCOPE_HD __host__ __device__
#else
#define ATTNSCOPE_HD
#endif
