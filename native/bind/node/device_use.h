// DeviceUse of native/engine.ts: the device of a run and what the run took of it.
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace attnscope::node {

struct DeviceUse {
  const std::string &name, &driver, &products, &compute;
  bool streamed_weights;
  std::uint64_t peak_bytes, peak_pinned_bytes;
  const std::vector<std::pair<std::string, std::uint64_t>>& bytes_at_peak;  // by category
};

inline Napi::Object to_js(Napi::Env env, const DeviceUse& use) {
  Napi::Object bytes = Napi::Object::New(env);
  for (const auto& [category, value] : use.bytes_at_peak) bytes.Set(category, static_cast<double>(value));
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", use.name);
  object.Set("driver", use.driver);
  object.Set("products", use.products);
  object.Set("compute", use.compute);
  object.Set("weights", use.streamed_weights ? "streamed" : "resident");
  object.Set("peakBytes", static_cast<double>(use.peak_bytes));
  object.Set("peakPinnedBytes", static_cast<double>(use.peak_pinned_bytes));
  object.Set("bytesAtPeak", bytes);
  return object;
}

}  // namespace attnscope::node
