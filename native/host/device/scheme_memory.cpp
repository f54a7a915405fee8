#include "host/device/scheme_memory.h"

#include <chrono>

#include "host/failure.h"

namespace attnscope {
namespace scheme_memory {

using memory::Category;

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// How DeviceMemory's error names what holds memory.
MemoryCategory named_as(Category category) {
  switch (category) {
    case Category::weights: return MemoryCategory::weights;
    case Category::kv: return MemoryCategory::kv;
    case Category::logits: return MemoryCategory::logits;
    case Category::workspace: return MemoryCategory::workspace;
    default: return MemoryCategory::activations;
  }
}

Category category_of(MemoryCategory category) {
  switch (category) {
    case MemoryCategory::weights: return Category::weights;
    case MemoryCategory::kv: return Category::kv;
    case MemoryCategory::logits: return Category::logits;
    case MemoryCategory::workspace: return Category::workspace;
    default: return Category::activations;
  }
}

/// The switch that makes it smaller.
const char* advice_for(Category category) {
  switch (category) {
    case Category::weights: return "use --weights streamed or a model of fewer parameters";
    case Category::kv: return "use --offload layer, a retention policy or a shorter --context";
    case Category::logits: return "use --logits last, or --mini-sequence to compute them in pieces";
    case Category::mlp: return "use --mini-sequence or --chunk";
    default: return "use --chunk or a shorter --context";
  }
}

}  // namespace scheme_memory

const char* name_of(SchemeEvent::Kind kind) {
  constexpr const char* names[] = {"alloc", "free", "host_alloc", "host_free", "d2h", "h2d", "disk_alloc", "disk_free", "disk_write", "disk_read"};
  return names[static_cast<std::size_t>(kind)];
}

std::optional<memory::Event> as_memory_event(const SchemeEvent& event) {
  if (event.kind > SchemeEvent::Kind::h2d) return std::nullopt;
  return memory::Event{event.bytes, event.block, event.step, event.layer, static_cast<memory::Kind>(event.kind), event.category, event.phase, event.op, event.stream};
}

SchemeMemory::SchemeMemory(KernelDevice& device, std::uint64_t limit, SchemeResult& result)
    : result_(result), start_(scheme_memory::seconds_now()), memory_(device, limit, DeviceMemory::Released::to_next) {
  memory_.listen([this](const MemoryEvent& event) { on(event); });
}

Result<DeviceBuffer> SchemeMemory::allocate(std::uint64_t bytes, memory::Category category, const char* what) {
  memory_.at(memory::name_of(phase), layer);
  category_ = category, named_ = true;
  auto buffer = memory_.allocate(bytes, scheme_memory::named_as(category), what, scheme_memory::advice_for(category));
  named_ = false;
  return buffer;
}

Status SchemeMemory::allocate(DeviceBuffer& into, std::uint64_t bytes, memory::Category category, const char* what) {
  auto buffer = allocate(bytes, category, what);
  if (!buffer) return buffer.error();
  into = buffer.take();
  return success();
}

Status SchemeMemory::allocate_host(DeviceBuffer& into, std::uint64_t bytes, memory::Category category, const char* what) {
  category_ = category, named_ = true;
  auto buffer = memory_.allocate_pinned(bytes, what);
  named_ = false;
  if (!buffer) return buffer.error();
  into = buffer.take();
  return success();
}

void SchemeMemory::on(const MemoryEvent& event) {
  using Kind = SchemeEvent::Kind;
  if (event.allocated) {
    category_of_block_.resize(event.block + 1);
    // Of what parts allocate by themselves on the host, only weights pass through.
    category_of_block_[event.block] = named_ ? category_ : event.pinned ? memory::Category::weights : scheme_memory::category_of(event.category);
  }
  SchemeEvent to;
  to.kind = event.pinned ? (event.allocated ? Kind::host_alloc : Kind::host_free) : (event.allocated ? Kind::alloc : Kind::free);
  to.category = category_of_block_[event.block];
  to.block = event.block, to.bytes = event.bytes, to.what = event.what;
  put(to);
}

void SchemeMemory::copied(SchemeEvent::Kind way, std::uint64_t bytes, const char* what) {
  SchemeEvent event;
  event.kind = way, event.category = memory::Category::kv, event.bytes = bytes, event.what = what, event.stream = 1;
  put(event);
}

void SchemeMemory::on_disk(bool allocated, std::uint64_t bytes, const char* what) {
  SchemeEvent event;
  event.kind = allocated ? SchemeEvent::Kind::disk_alloc : SchemeEvent::Kind::disk_free;
  event.category = memory::Category::kv, event.bytes = bytes, event.what = what;
  put(event);
}

void SchemeMemory::put(SchemeEvent event) {
  using Kind = SchemeEvent::Kind;
  event.phase = phase, event.step = step, event.layer = layer, event.op = op;
  event.seconds = scheme_memory::seconds_now() - start_;
  SchemeResult::Peak& peak = result_.peak;
  switch (event.kind) {
    case Kind::alloc: {
      device_used_ += event.bytes;
      used_[static_cast<std::size_t>(event.category)] += event.bytes;
      if (device_used_ > peak.device) peak.device = device_used_, peak.device_by_category = used_, peak.event = result_.events.size();
      std::uint64_t& of_phase = result_.device_peak_by_phase[static_cast<std::size_t>(phase)];
      of_phase = std::max(of_phase, device_used_);
      break;
    }
    case Kind::free: device_used_ -= event.bytes, used_[static_cast<std::size_t>(event.category)] -= event.bytes; break;
    case Kind::host_alloc: peak.host = std::max(peak.host, host_used_ += event.bytes); break;
    case Kind::host_free: host_used_ -= event.bytes; break;
    case Kind::disk_alloc: peak.disk = std::max(peak.disk, disk_used_ += event.bytes); break;
    case Kind::disk_free: disk_used_ -= event.bytes; break;
    default: break;
  }
  result_.events.push_back(event);
}

}  // namespace attnscope
