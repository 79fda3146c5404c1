// Vectors of 8 numbers: AVX2 and FMA.
//
// `vpmaddubsw` adds two u8 x s8 products in 16 bits and saturates: 2 * 255 * 127 > 32767. Weights within -64..64 cannot
// get there (2 * 255 * 64 = 32640); others are widened to 16 bits first (WIDE), which takes twice the instructions.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace millis {
namespace avx2 {

using Floats = __m256;
using Ints = __m256i;
using Integers = __m256i;  // 8 channels x 4 weights, s8

constexpr int WIDTH = 8;
// Rows of a tile: what its sums, two weights, and what products need leave of 16 registers.
constexpr int NARROW_ROWS = 3, WIDE_ROWS = 4, FLOAT_ROWS = 6;
constexpr int BLOCK_ROWS = 2;
constexpr int TILE_PANELS = 1;

static inline Floats load(const float* from) { return _mm256_loadu_ps(from); }
static inline void store(float* to, Floats x) { _mm256_storeu_ps(to, x); }
static inline Floats splat(float x) { return _mm256_set1_ps(x); }
static inline Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
static inline Floats sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
static inline Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
static inline Floats div(Floats a, Floats b) { return _mm256_div_ps(a, b); }
static inline Floats quotient(Floats a, Floats b) { return _mm256_div_ps(a, b); }
static inline Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
static inline Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
static inline Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
static inline float sum(Floats x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
static inline float least(Floats x) {
    __m128 half = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
}
static inline float most(Floats x) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
static inline Floats first(int count, Floats x) {  // the others are 0
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane)));
}
static inline Floats first_or(int count, Floats x, Floats others) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_blendv_ps(others, x, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane)));
}

static inline Ints zeros() { return _mm256_setzero_si256(); }
static inline Ints splat_int(int32_t x) { return _mm256_set1_epi32(x); }
static inline Ints load_ints(const int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const Ints*>(from)); }
static inline Ints sub_ints(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
static inline Ints mul_ints(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
static inline Ints add_ints(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
static inline Ints clamp_bytes(Ints x) {
    return _mm256_min_epi32(_mm256_max_epi32(x, _mm256_setzero_si256()), _mm256_set1_epi32(255));
}
static inline Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
static inline Ints to_ints(Floats x) { return _mm256_cvtps_epi32(x); }  // to the nearest, ties to even
static inline Floats power_of_two(Ints n) {                             // 2^n, -126 <= n <= 127
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
static inline void store_bytes(uint8_t* to, Ints x) {  // 0..255 each
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}
static inline Floats load_signed_bytes(const int8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}

static inline Ints load_four(const uint8_t* from) {  // the same four inputs for every channel
    int32_t four;
    __builtin_memcpy(&four, from, 4);
    return _mm256_set1_epi32(four);
}
static inline Integers load_weights(const int8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const Integers*>(from));
}
constexpr float NIBBLE = 1.0f;
static inline void unpack(const uint8_t* from, Integers& first, Integers& second) {
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m256i lower = _mm256_set1_epi8(15), eight = _mm256_set1_epi8(8);
    first = _mm256_sub_epi8(_mm256_and_si256(both, lower), eight);
    second = _mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16(both, 4), lower), eight);
}
static inline Floats load_halves(const uint16_t* from) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
static inline void store_halves(uint16_t* to, Floats x) {  // to the nearest, ties to even
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7FFF))), 16);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1)));
}
// sums + two products of bf16 in each lane, the upper halves' first.
static inline Floats dot_halves(Floats sums, Ints inputs, Integers weights) {
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000u));
    sums = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(inputs, upper)),
                           _mm256_castsi256_ps(_mm256_and_si256(weights, upper)), sums);
    return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(inputs, 16)),
                           _mm256_castsi256_ps(_mm256_slli_epi32(weights, 16)), sums);
}
template <bool WIDE>
static inline Ints dot(Ints sums, Ints inputs, Integers weights) {
    if (WIDE) {  // inputs and weights 0 and 2 of four, then 1 and 3, as 16 bits
        const Ints even = _mm256_madd_epi16(_mm256_and_si256(inputs, _mm256_set1_epi16(255)),
                                            _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8));
        const Ints odd = _mm256_madd_epi16(_mm256_srli_epi16(inputs, 8), _mm256_srai_epi16(weights, 8));
        return _mm256_add_epi32(sums, _mm256_add_epi32(even, odd));
    }
    const Ints pairs = _mm256_maddubs_epi16(inputs, weights);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// Sums of pairs in 16 bits, of no more than 8 products with weights of 4 bits: 8 * 2 * 255 * 8 = 32640.
constexpr int64_t RUN = 4;
static inline Ints dot_briefly(Ints sums, Ints inputs, Integers weights) {
    return _mm256_add_epi16(sums, _mm256_maddubs_epi16(inputs, weights));
}
static inline Ints widened(Ints sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

}  // namespace avx2
}  // namespace millis
