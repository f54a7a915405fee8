#include "core/memory/transfers.h"

#include <algorithm>

namespace attnscope::memory {

bool Transfers::on(const Event& e) {
  const auto phase = static_cast<std::size_t>(e.phase);
  if (e.kind == Kind::host_alloc) {
    pinned_ += e.bytes;
    if (pinned_ >= host_bytes) host_bytes = pinned_, host_used = used_;
  } else if (e.kind == Kind::host_free) {
    pinned_ -= e.bytes;
  } else if (e.kind == Kind::d2h || e.kind == Kind::h2d) {
    const bool out = e.kind == Kind::d2h;
    (out ? to_host : to_device)[phase] += e.bytes;
    if (out) used_ += e.bytes;
    else used_ -= std::min(used_, e.bytes);
    if (out && pinned_ == host_bytes) host_used = used_;
    ++copies;
    largest_copy = std::max(largest_copy, e.bytes);
  }
  return true;
}

LinkTime link_time(const Transfers& transfers, Phase phase, const Link& link, double compute_s) {
  const auto at = static_cast<std::size_t>(phase);
  const double out = link.to_host > 0 ? static_cast<double>(transfers.to_host[at]) / link.to_host : 0;
  const double in = link.to_device > 0 ? static_cast<double>(transfers.to_device[at]) / link.to_device : 0;
  const double slowest = std::min(link.to_host > 0 ? link.to_host : link.to_device, link.to_device > 0 ? link.to_device : link.to_host);
  const double exposed = out + in > 0 && slowest > 0 ? static_cast<double>(transfers.largest_copy) / slowest : 0;
  return {out + in, compute_s + out + in, std::max({compute_s, out, in}) + exposed};
}

}  // namespace attnscope::memory
