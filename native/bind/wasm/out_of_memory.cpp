#include "bind/wasm/out_of_memory.h"

#include <new>

namespace {

void* or_throw(void* p, std::size_t bytes) {
  if (p == nullptr) out_of_memory(bytes);
  return p;
}

}  // namespace

void* operator new(std::size_t bytes) { return or_throw(std::malloc(bytes == 0 ? 1 : bytes), bytes); }
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  return or_throw(std::aligned_alloc(align, (bytes + align - 1) / align * align), bytes);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return operator new(bytes, alignment); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
