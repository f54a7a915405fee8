#include "core/memory/published_rates.h"

namespace attnscope::memory {

Efficiency transformers_efficiency() {
  Config c;
  c.model = llama3_8b;
  return efficiency(c, mom_prefill_fit(), mom_decode_fit(), mom_device);
}

const char* rates_doc() {
  return "shares of a device's peaks that tables 3 and 4 of MOM (arXiv 2504.12526) imply of transformers with FlashAttention-2 on an A100; kernels that fill a device less at short chunks are not modelled";
}

}  // namespace attnscope::memory
