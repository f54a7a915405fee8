import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";

/** Bodies of attnscope_open_cuda_device(version, index, why, why_bytes), in C: what a library of CUDA kernels may do when it is opened. */
export const LIBRARIES = {
  crashes: "volatile int* nowhere = 0; *nowhere = 1; return 0;",
  hangs: "for (;;) pause(); return 0;",
  "is of another version": 'snprintf(why, why_bytes, "interface version 9999, and the program has %u", version); return 0;',
  "finds no device": 'snprintf(why, why_bytes, "no CUDA-capable device is detected"); return 0;',
  "ends the process": "exit(3); return 0;",
} as const;

const compilers = [process.env.CC ?? "", "cc", "gcc", "clang"].filter((name) => name !== "");

/** Compiles a library into `folder`; undefined where no C compiler is. */
export function compileLibrary(folder: string, name: keyof typeof LIBRARIES): string | undefined {
  const source = path.join(folder, `${name.replaceAll(" ", "-")}.c`), output = source.replace(/c$/, "so");
  writeFileSync(source, `#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
void* attnscope_open_cuda_device(unsigned version, unsigned index, char* why, unsigned long why_bytes) { (void)version, (void)index, (void)why, (void)why_bytes; ${LIBRARIES[name]} }
`);
  return compilers.some((compiler) => spawnSync(compiler, ["-shared", "-fPIC", "-o", output, source]).status === 0) ? output : undefined;
}

/** A library that answers as a GPU's and computes on the processor: the runner on a device, without a GPU. undefined where there is no compiler or the engine's archives are not beside the add-on. */
export function compileProcessor(folder: string): string | undefined {
  const archives = ["build/libattnscope_host.a", "build/libattnscope_core.a"];
  const compiler = ["c++", "g++", "clang++"].find((name) => spawnSync(name, ["--version"]).status === 0);
  if (compiler === undefined || !archives.every((archive) => existsSync(archive))) return undefined;
  const source = path.join(folder, "processor.cpp"), output = path.join(folder, "processor.so");
  writeFileSync(source, `#include "host/kernels/cpu_device.h"
extern "C" __attribute__((visibility("default"))) attnscope::KernelDevice* attnscope_open_cuda_device(std::uint32_t version, std::uint32_t, char*, std::size_t) {
  return version == attnscope::kKernelInterfaceVersion ? attnscope::open_cpu_device(2).release() : nullptr;
}
`);
  const args = ["-std=c++20", "-shared", "-fPIC", "-I", "native", "-o", output, source, ...archives, "-lpthread", "-ldl", "-Wl,--no-undefined"];
  // The archives call OpenBLAS where CMake found one.
  let said = "";
  const linked = [[], ["-lopenblas"]].some((blas) => {
    const { status, stderr } = spawnSync(compiler, [...args, ...blas]);
    said ||= stderr.toString();
    return status === 0;
  });
  if (!linked) throw new Error(said);
  return output;
}
