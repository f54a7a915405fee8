// Bytes of stored keys or values: what quantising saves, and what its scales cost.
#pragma once
#include <cstdint>

namespace attnscope::memory {

/// `model` is the dtype of the activations.
enum class KvType : std::uint8_t { model, int8, int4 };

/// One scale (and zero point) a channel and group of tokens, or one a token and group of a head's channels. Group 0: no groups,
/// one scale for all tokens, or for a head's whole row.
struct KvScales {
  enum class Per : std::uint8_t { token, channel };
  Per per = Per::token;
  std::uint32_t group = 0;
  std::uint32_t bytes = 2;         // of a scale
  bool zero_point = true;          // as many bytes again
};

/// KIVI: keys {channel, 32}, values {token, 32}.
struct KvFormat {
  KvType type = KvType::model;
  KvScales keys, values;
  bool quantized() const { return type != KvType::model; }
};

/// Bytes of one of K and V of `tokens` in `heads` kv heads of `head_dim` channels.
std::uint64_t stored_bytes(KvType type, const KvScales& scales, std::uint64_t element_bytes, std::uint64_t tokens, std::uint64_t heads,
                           std::uint64_t head_dim);

}  // namespace attnscope::memory
