// The kernels for one instruction set. Compiled with its own flags: nothing here may be shared with other files, or a
// processor without the instructions could meet them, so that there are no templates of the standard library in calls.
#include <ctime>

#include "plan.h"
#include "vectors_avx512.h"

namespace millis {
namespace avx512 {

#include "elementary.h"
#include "tiles.h"
#include "products.h"
#include "halves.h"
#include "rows.h"
#include "parts.h"
#include "attention.h"
#include "causal.h"
#include "decoding.h"
#include "steps.h"

}  // namespace avx512
}  // namespace millis
