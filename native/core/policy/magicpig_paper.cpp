// magicpig-paper: as the paper's formulas read, where they differ from the released code.
#include "core/policy/magicpig.h"

namespace attnscope {
namespace magicpig_paper {

constexpr magicpig::Defaults defaults{.eps = 0,
                                      .centre = magicpig::Centre::all,
                                      .scope = magicpig::Scope::per_kv_head,
                                      .dense_layers = magicpig::DenseLayers::every_16th_to_48,
                                      .transform = true,
                                      .short_ids = true};

Result<std::unique_ptr<RetrievalPolicy>> make(const PolicyConfig& config) { return magicpig::make(config, defaults); }

}  // namespace magicpig_paper

PolicyEntry magicpig_paper_entry() {
  const auto preset = [](const char* name, const char* source, double K, double L) { return magicpig::preset(magicpig_paper::defaults, name, source, K, L); };
  PolicyEntry entry;
  entry.descriptor = {
      .id = "magicpig-paper",
      .title = "MagicPIG (paper)",
      .family = Family::retrieval,
      .unit = DecisionUnit::query_head,
      .granularity = "token",
      .phase = "decode",
      .frees = Frees::nothing,
      .query_aware = QueryAware::every_step,
      .sampled = true,
      .doc = "Importance sampling through LSH tables as the paper writes it: keys centred by the mean of all keys, weights divided by "
             "the exact inclusion probability, the inner-product transform of equation 8 at choice. Sinks, the prompt's last tokens and "
             "everything decoded are read exactly; KV and tables lie in host memory.",
      .source = "arXiv 2410.16179, section 4 and equations 8 to 10",
      .kernels = {{PolicyKernel::When::prefill, "dense", "attention"}, {PolicyKernel::When::build, "simhash", "hash"},
                  {PolicyKernel::When::build, "simhash", "sort"}, {PolicyKernel::When::step, "decode-list", "attention"}},
      .untimed = "hashing the query, looking up its buckets, weighing the keys found",
      .parameters = magicpig::parameters(magicpig_paper::defaults),
      .presets =
          {
              preset("K10-L150", "arXiv 2410.16179, RULER averages and table 7; cost label .02 of the keys", 10, 150),
              preset("K10-L170", "arXiv 2410.16179, table 7; cost label .025 of the keys", 10, 170),
              preset("K9-L120", "arXiv 2410.16179, RULER averages and table 7; cost label .04 of the keys", 9, 120),
              preset("K8-L75", "arXiv 2410.16179, RULER averages and table 7; cost label .05 of the keys", 8, 75),
              preset("K11-L300", "arXiv 2410.16179, table 7; cost label .02 of the keys", 11, 300),
              preset("K10-L220", "arXiv 2410.16179, table 7 and lm-eval; cost label .03 to .04 of the keys", 10, 220),
              preset("K8-L65", "arXiv 2410.16179, RULER 16K at a fixed budget; cost label .04 of the keys", 8, 65),
              preset("K7-L35", "arXiv 2410.16179, RULER 16K at a fixed budget; cost label .04 of the keys", 7, 35),
          },
  };
  entry.retrieval = magicpig_paper::make;
  return entry;
}

}  // namespace attnscope
