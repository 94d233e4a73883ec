// Pooling of sequences, forward and backward.
#pragma once
#include "calls.h"

namespace vecformer {

void pool(const Pooling& call);
void pool_backward(const Pooling& call);

}  // namespace vecformer
