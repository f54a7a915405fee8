// magicpig-authors: as in Infini-AI-Lab/MagicPIG, serving code (models/attnserver.py, library/lsh, library/sparse_attention).
#include "core/policy/magicpig.h"

namespace attnscope {
namespace magicpig_authors {

constexpr magicpig::Defaults defaults{.eps = 1e-4,
                                      .centre = magicpig::Centre::offloaded,
                                      .scope = magicpig::Scope::global,
                                      .dense_layers = magicpig::DenseLayers::every_16th_to_64,
                                      .transform = false,
                                      .short_ids = false};

Result<std::unique_ptr<RetrievalPolicy>> make(const PolicyConfig& config) { return magicpig::make(config, defaults); }

}  // namespace magicpig_authors

PolicyEntry magicpig_authors_entry() {
  const auto preset = [](const char* name, const char* source, double K, double L) { return magicpig::preset(magicpig_authors::defaults, name, source, K, L); };
  PolicyEntry entry;
  entry.descriptor = {
      .id = "magicpig-authors",
      .title = "MagicPIG (authors' code)",
      .family = Family::retrieval,
      .unit = DecisionUnit::query_head,
      .granularity = "token",
      .phase = "decode",
      .frees = Frees::nothing,
      .query_aware = QueryAware::every_step,
      .sampled = true,
      .doc = "Samples keys that share a hash bucket with the query in at least two of L tables and divides their weights by the "
             "probability of that; sinks, the prompt's last tokens and everything decoded are read exactly. KV and tables lie in host "
             "memory. As the released code does it: keys centred by the mean of the offloaded ones, no transform, 1e-4 inside the log.",
      .source = "arXiv 2410.16179; github.com/Infini-AI-Lab/MagicPIG at ac9aa36",
      .kernels = {{PolicyKernel::When::prefill, "dense", "attention"}, {PolicyKernel::When::build, "simhash", "hash"},
                  {PolicyKernel::When::build, "simhash", "sort"}, {PolicyKernel::When::step, "decode-list", "attention"}},
      .untimed = "hashing the query, looking up its buckets, weighing the keys found",
      .parameters = magicpig::parameters(magicpig_authors::defaults),
      .presets =
          {
              preset("K10-L150", "Released code and arXiv 2410.16179, RULER averages and table 7; cost label .02 of the keys", 10, 150),
              preset("K10-L170", "arXiv 2410.16179, table 7; cost label .025 of the keys", 10, 170),
              preset("K9-L120", "arXiv 2410.16179, RULER averages and table 7; cost label .04 of the keys", 9, 120),
              preset("K8-L75", "arXiv 2410.16179, RULER averages and table 7; cost label .05 of the keys", 8, 75),
              preset("K11-L300", "arXiv 2410.16179, table 7; cost label .02 of the keys", 11, 300),
          },
  };
  entry.retrieval = magicpig_authors::make;
  return entry;
}

}  // namespace attnscope
