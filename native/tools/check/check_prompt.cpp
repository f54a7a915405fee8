// Dense and a-shape attention.
#include "tools/check/attention_case.h"

namespace attnscope::check_kernels {

void check_prompt(Session& session) {
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t dim : head_dims(session)) {
      if (session.wants("dense"))
        for (const PromptShape& shape : prompt_shapes(session, session.full ? 18 : 4))
          PromptCase(session, dtype, dim, shape).run("dense", "", [&](const AttentionArgs& args) { return session.device.dense(args); },
                                                    [](auto, auto, auto, auto) { return true; });
      if (!session.wants("a_shape")) continue;
      for (const PromptShape& shape : prompt_shapes(session, session.full ? 24 : 4)) {
        static const std::vector<std::uint32_t> sinks{0, 1, 4, 63, 64, 65, 1000}, locals{1, 17, 63, 64, 65, 128, 1000};
        const std::uint32_t sink = session.pick(sinks), local = session.pick(locals);
        PromptCase(session, dtype, dim, shape)
            .run("a_shape", ", sink " + std::to_string(sink) + ", local " + std::to_string(local),
                 [&](const AttentionArgs& args) { return session.device.a_shape(args, sink, local); },
                 [&](auto, auto, std::uint32_t query, std::uint32_t key) { return key < sink || query - key < local; });
      }
    }
}

}  // namespace attnscope::check_kernels
