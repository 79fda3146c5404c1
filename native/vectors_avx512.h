// Vectors of 16 numbers: AVX-512 (F, BW, DQ, VL) with VNNI, whose u8 x s8 products are summed exactly in 32 bits.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace millis {
namespace avx512 {

using Floats = __m512;
using Ints = __m512i;
using Integers = __m512i;  // 16 channels x 4 weights, s8

constexpr int WIDTH = 16;
constexpr int NARROW_ROWS = 8, WIDE_ROWS = 8, FLOAT_ROWS = 8;  // of a tile; 12 spill
constexpr int BLOCK_ROWS = 8;  // sums and totals
constexpr int TILE_PANELS = 2;  // 8 x 2 sums and 2 weights of 32 registers

static inline Floats load(const float* from) { return _mm512_loadu_ps(from); }
static inline void store(float* to, Floats x) { _mm512_storeu_ps(to, x); }
static inline Floats splat(float x) { return _mm512_set1_ps(x); }
static inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
static inline Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
static inline Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
static inline Floats div(Floats a, Floats b) { return _mm512_div_ps(a, b); }
static inline Floats quotient(Floats a, Floats b) {  // within 1e-7, in a third of the time; b far from the ends of fp32
    const Floats guess = _mm512_rcp14_ps(b);
    return _mm512_mul_ps(a, _mm512_mul_ps(guess, _mm512_fnmadd_ps(b, guess, _mm512_set1_ps(2.0f))));
}
static inline Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
static inline Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
static inline Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
static inline float sum(Floats x) { return _mm512_reduce_add_ps(x); }
static inline float least(Floats x) { return _mm512_reduce_min_ps(x); }
static inline float most(Floats x) { return _mm512_reduce_max_ps(x); }
static inline Floats first(int count, Floats x) {  // the others are 0
    return _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << count) - 1u), x);
}
static inline Floats first_or(int count, Floats x, Floats others) {
    return _mm512_mask_mov_ps(others, static_cast<__mmask16>((1u << count) - 1u), x);
}

static inline Ints zeros() { return _mm512_setzero_si512(); }
static inline Ints splat_int(int32_t x) { return _mm512_set1_epi32(x); }
static inline Ints load_ints(const int32_t* from) { return _mm512_loadu_si512(from); }
static inline Ints sub_ints(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
static inline Ints mul_ints(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
static inline Ints add_ints(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
static inline Ints clamp_bytes(Ints x) {
    return _mm512_min_epi32(_mm512_max_epi32(x, _mm512_setzero_si512()), _mm512_set1_epi32(255));
}
static inline Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
static inline Ints to_ints(Floats x) { return _mm512_cvtps_epi32(x); }  // to the nearest, ties to even
static inline Floats power_of_two(Ints n) {                             // 2^n, -126 <= n <= 127
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}
static inline void store_bytes(uint8_t* to, Ints x) {  // 0..255 each
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(x));
}
static inline Floats load_signed_bytes(const int8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

static inline Ints load_four(const uint8_t* from) {  // the same four inputs for every channel
    int32_t four;
    __builtin_memcpy(&four, from, 4);
    return _mm512_set1_epi32(four);
}
static inline Integers load_weights(const int8_t* from) { return _mm512_loadu_si512(from); }
// Weights of 4 bits in the upper halves of bytes: 16 times what they are.
constexpr float NIBBLE = 16.0f;
static inline void unpack(const uint8_t* from, Integers& first, Integers& second) {
    const __m512i both = _mm512_loadu_si512(from), upper = _mm512_set1_epi8(-16), sign = _mm512_set1_epi8(-128);
    first = _mm512_ternarylogic_epi32(_mm512_slli_epi16(both, 4), upper, sign, 0x6A);  // (a & b) ^ c
    second = _mm512_ternarylogic_epi32(both, upper, sign, 0x6A);
}
static inline Floats load_halves(const uint16_t* from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
static inline void store_halves(uint16_t* to, Floats x) {  // to the nearest, ties to even
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i last = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(last, _mm512_set1_epi32(0x7FFF)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}
// sums + two products of bf16 in each lane, the upper halves' first.
static inline Floats dot_halves(Floats sums, Ints inputs, Integers weights) {
#ifdef __AVX512BF16__
    return _mm512_dpbf16_ps(sums, (__m512bh)inputs, (__m512bh)weights);
#else
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000u));
    sums = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(inputs, upper)),
                           _mm512_castsi512_ps(_mm512_and_si512(weights, upper)), sums);
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(inputs, 16)),
                           _mm512_castsi512_ps(_mm512_slli_epi32(weights, 16)), sums);
#endif
}
template <bool WIDE>
static inline Ints dot(Ints sums, Ints inputs, Integers weights) {
    return _mm512_dpbusd_epi32(sums, inputs, weights);
}

constexpr int64_t RUN = int64_t{1} << 32;  // a block's sums fit
static inline Ints dot_briefly(Ints sums, Ints inputs, Integers weights) {
    return _mm512_dpbusd_epi32(sums, inputs, weights);
}
static inline Ints widened(Ints sums) { return sums; }

}  // namespace avx512
}  // namespace millis
