#include "core/replay/session_shape.h"

#include <cmath>

namespace attnscope {

Status check_shape(const SessionShape& shape) {
  const auto refuse = [](std::string what) { return Status(Error{"E_REPLAY_SHAPE", "shape of the head: " + std::move(what)}); };
  const auto below = [&](const char* field, std::uint32_t value, const char* of, std::uint32_t limit) {
    return refuse(std::string(field) + " is " + std::to_string(value) + "; pass less than " + of + " (" + std::to_string(limit) + ")");
  };
  if (shape.heads == 0 || shape.kv_heads == 0 || shape.heads % shape.kv_heads != 0)
    return refuse("kvHeads is " + std::to_string(shape.kv_heads) + ", which does not divide the " + std::to_string(shape.heads) + " heads");
  if (shape.head >= shape.heads) return below("head", shape.head, "heads", shape.heads);
  if (shape.layer >= shape.layers) return below("layer", shape.layer, "layers", shape.layers);
  if (shape.head_dim == 0 || shape.head_dim > 4096) return refuse("headDim is " + std::to_string(shape.head_dim) + "; pass 1 to 4096");
  if (shape.tokens == 0 || shape.tokens > (1u << 30)) return refuse("tokens is " + std::to_string(shape.tokens) + "; pass 1 to 2^30");
  if (shape.prompt_tokens > shape.tokens)
    return refuse("promptTokens is " + std::to_string(shape.prompt_tokens) + " of " + std::to_string(shape.tokens) + " tokens; pass at most all of them");
  if (!(std::isfinite(shape.scale) && shape.scale > 0)) return refuse("scale is not a positive number; pass what multiplies q.k");
  if (!(std::isfinite(shape.bytes_per_element) && shape.bytes_per_element > 0)) return refuse("bytesPerElement is not a positive number; pass 2 or 4");
  return success();
}

}  // namespace attnscope
