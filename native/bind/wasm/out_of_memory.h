// Running out of memory inside the core. Without exceptions a failed allocation would be a trap; here it calls back into
// the loader, which throws a JavaScript exception through the C++ frames. No destructor runs on the way: what those frames
// held is lost (no more than one call's temporaries), everything else stays whole, since containers change only after an
// allocation came back. The loader restores the stack pointer and frees the session that was at work.
#pragma once
#include <cstdint>
#include <cstdlib>

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

/// Throws in JavaScript.
extern "C" __attribute__((import_module("env"), import_name("out_of_memory"))) [[noreturn]] void out_of_memory(std::size_t bytes);

/// Whether `bytes` more can be had. Nothing else allocates meanwhile, so what is granted in one piece will be granted in parts.
inline bool has_room(std::uint64_t bytes) {
  constexpr std::uint64_t bookkeeping = 64 << 10;
  if (bytes > 0x7fff0000u - bookkeeping) return false;
  void* volatile trial = std::malloc(static_cast<std::size_t>(bytes + bookkeeping));  // volatile: else the pair is optimised away
  const bool granted = trial != nullptr;
  std::free(trial);
  return granted;
}
