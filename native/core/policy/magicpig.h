// MagicPIG (arXiv 2410.16179): attention by importance sampling, keys drawn through LSH tables. What the variants share;
// magicpig_authors.cpp and magicpig_paper.cpp declare them.
#pragma once
#include "core/policy/policy.h"

namespace attnscope::magicpig {

enum class Centre : std::uint8_t { offloaded, all, none };
enum class Scope : std::uint8_t { global, per_kv_head };
enum class DenseLayers : std::uint8_t { none, every_16th_to_64, every_16th_to_48, first_two };

/// Where the parameters of a variant start.
struct Defaults {
  double eps = 0;
  Centre centre = Centre::offloaded;
  Scope scope = Scope::global;
  DenseLayers dense_layers = DenseLayers::every_16th_to_64;
  bool transform = false;        // whether there is such a parameter
  bool short_ids = false;        // 2-byte ids where 65,536 suffice, as in the paper's accounting; the released code stores 4
};

/// Values of a configuration, named. `transform` is last: variants without it have one parameter less.
struct Settings {
  std::uint32_t K, L, min_tables, sink, local;
  double eps;
  DenseLayers dense_layers;
  Centre centre;
  Scope scope;
  std::uint64_t seed;
  bool transform, short_ids;
};

std::vector<Parameter> parameters(const Defaults& defaults);
/// The variant's preset for (K, L), everything else as in `defaults`.
Preset preset(const Defaults& defaults, const char* name, const char* source, double K, double L);
Result<std::unique_ptr<RetrievalPolicy>> make(const PolicyConfig& config, const Defaults& defaults);

bool is_dense(DenseLayers choice, std::uint32_t layer);

/// What one query head's decode step moves depends on this; doubles, because a projection uses means.
struct StepShape {
  std::uint32_t K, L, head_dim, heads, group;   // heads of the layer; query heads of a kv head
  double bytes_per_element;                     // of K and V
  double id_bytes;
  double fixed;                                 // tokens read whatever the query is, on the device
  double offloaded;                             // keys in the tables
  double ids_read, sampled;                     // ids in the query's buckets; keys sampled
};
/// One query head's share: summed over the heads of a layer it is the layer.
TierBytes step_bytes(const StepShape& shape);

/// Tables of one kv head over `keys` keys: ids, and (not in the paper's count) start and end of every bucket.
struct TableBytes {
  double ids, buckets;
};
TableBytes table_bytes(std::uint32_t K, std::uint32_t L, double keys, double id_bytes);
/// 4 as the released code stores ids; the paper counts 2 where 65,536 tokens or fewer are hashed.
double id_bytes(bool short_ids, std::uint32_t context);

}  // namespace attnscope::magicpig
