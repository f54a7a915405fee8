#include "core/memory/events.h"

#include <algorithm>

namespace attnscope::memory {
namespace event_names {
namespace {

constexpr const char* categories[] = {"weights", "kv", "residual", "norm", "attention", "mlp", "logits", "activations", "index", "workspace", "capture"};
constexpr const char* phases[] = {"load", "prefill", "reload", "decode"};
constexpr const char* ops[] = {"weights",  "inputs",   "embed",  "mask", "rotary", "norm",       "qkv",        "rope",    "append", "prefetch", "evict", "attention",
                               "out_proj", "retain", "add",  "mlp",    "mlp_concat", "final_norm", "lm_head", "reload", "end"};
constexpr const char* kinds[] = {"alloc", "free", "host_alloc", "host_free", "d2h", "h2d"};
static_assert(std::size(categories) == kCategories && std::size(ops) == static_cast<std::size_t>(Op::end) + 1);

}  // namespace
}  // namespace event_names

const char* name_of(Category category) { return event_names::categories[static_cast<std::size_t>(category)]; }
const char* name_of(Phase phase) { return event_names::phases[static_cast<std::size_t>(phase)]; }
const char* name_of(Op op) { return event_names::ops[static_cast<std::size_t>(op)]; }
const char* name_of(Kind kind) { return event_names::kinds[static_cast<std::size_t>(kind)]; }

bool Peak::on(const Event& e) {
  std::uint64_t& used = used_[static_cast<std::size_t>(e.category)];
  if (e.kind == Kind::alloc) {
    used += e.bytes;
    now_ += e.bytes;
    if (now_ > bytes) bytes = now_, at = events, event = e, by_category = used_;
  } else if (e.kind == Kind::free) {
    used -= e.bytes;
    now_ -= e.bytes;
  } else if (e.kind == Kind::host_alloc) {
    host_ += e.bytes;
    host_bytes = std::max(host_bytes, host_);
  } else if (e.kind == Kind::host_free) {
    host_ -= e.bytes;
  }
  ++events;
  return true;
}

}  // namespace attnscope::memory
