#include <new>
#include <vector>

#include "attention.h"

namespace attnscope {

static constexpr std::align_val_t buffer_alignment{64};

struct Scratch::Impl {
  struct Buffer {
    float* data = nullptr;
    std::size_t capacity = 0;
  };
  std::vector<Buffer> buffers;

  ~Impl() {
    for (Buffer& b : buffers) ::operator delete(b.data, buffer_alignment);
  }
};

Scratch::Scratch() : impl_(std::make_unique<Impl>()) {}
Scratch::~Scratch() = default;
Scratch::Scratch(Scratch&&) noexcept = default;
Scratch& Scratch::operator=(Scratch&&) noexcept = default;

float* Scratch::floats(int slot, std::size_t count) {
  auto& buffers = impl_->buffers;
  if (buffers.size() <= static_cast<std::size_t>(slot)) buffers.resize(slot + 1);
  Impl::Buffer& b = buffers[slot];
  if (b.capacity < count) {
    ::operator delete(b.data, buffer_alignment);
    b = {};  // nothing dangles should the allocation not return
    b.data = static_cast<float*>(::operator new(count * sizeof(float), buffer_alignment));
    b.capacity = count;
  }
  return b.data;
}

}  // namespace attnscope
