#include "host/timing/timing_row.h"

namespace attnscope {
namespace timing {

constexpr TimingColumn columns[] = {
    {"device", &TimingRow::device},         {"driver", &TimingRow::driver},     {"date", &TimingRow::date},           {"source", &TimingRow::source},
    {"op", &TimingRow::op},                 {"phase", &TimingRow::phase},       {"policy", &TimingRow::policy},       {"indices", &TimingRow::indices},
    {"batching", &TimingRow::batching},     {"dtype", &TimingRow::dtype},       {"tokens", &TimingRow::tokens},       {"queries", &TimingRow::queries},
    {"heads", &TimingRow::heads},           {"kv_heads", &TimingRow::kv_heads}, {"head_dim", &TimingRow::head_dim},   {"threads", &TimingRow::threads},
    {"work", &TimingRow::work},             {"column_work", &TimingRow::column_work}, {"work_unit", &TimingRow::work_unit}, {"bytes", &TimingRow::bytes},
    {"flops", &TimingRow::flops},           {"sparsity", &TimingRow::sparsity}, {"count", &TimingRow::count},         {"warmups", &TimingRow::warmups},
    {"median_us", &TimingRow::median_us},   {"p10_us", &TimingRow::p10_us},     {"p90_us", &TimingRow::p90_us},       {"min_us", &TimingRow::min_us},
    {"mean_us", &TimingRow::mean_us},       {"flushed", &TimingRow::flushed},   {"clock_mhz", &TimingRow::clock_mhz}, {"loo_error", &TimingRow::loo_error},
    {"note", &TimingRow::note},
};

}  // namespace timing

const char* type_name(const TimingColumn& column) {
  constexpr const char* names[] = {"utf8", "u16", "u32", "f64"};
  return names[column.member.index()];
}

std::span<const TimingColumn> timing_columns() { return timing::columns; }

}  // namespace attnscope
