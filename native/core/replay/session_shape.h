// What a head must look like before a session is made of it.
#pragma once
#include "core/replay/session.h"

namespace attnscope {

/// E_REPLAY_SHAPE names the field that does not fit.
Status check_shape(const SessionShape& shape);

}  // namespace attnscope
