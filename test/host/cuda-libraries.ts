import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
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
