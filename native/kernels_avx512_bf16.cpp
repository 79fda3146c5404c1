// Products of bf16 by AVX-512's own instruction. Compiled with its own flags, as all kernels are.
#include "plan.h"
#include "vectors_avx512.h"

namespace millis {
namespace avx512 {

#include "tiles.h"
#include "halves.h"

}  // namespace avx512

namespace avx512_bf16 {
const MultiplyHalves MULTIPLY_HALVES = avx512::multiply_halves;
}
}  // namespace millis
