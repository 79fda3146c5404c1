// Vectors of 4 numbers in the vector types of GCC and Clang: whatever the compiler makes of them, on any processor.
#pragma once

#include <cmath>
#include <cstdint>

namespace millis {
namespace portable {

typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));
typedef int16_t Shorts __attribute__((vector_size(16)));
typedef int8_t Integers __attribute__((vector_size(16)));  // 4 channels x 4 weights
typedef uint8_t Bytes __attribute__((vector_size(16)));

constexpr int WIDTH = 4;
constexpr int NARROW_ROWS = 2, WIDE_ROWS = 2, FLOAT_ROWS = 2;  // of a tile
constexpr int BLOCK_ROWS = 2;
constexpr int TILE_PANELS = 1;

template <typename Vector, typename Number>
static inline Vector read(const Number* from) {
    Vector x;
    __builtin_memcpy(&x, from, sizeof x);
    return x;
}

static inline Floats load(const float* from) { return read<Floats>(from); }
static inline void store(float* to, Floats x) { __builtin_memcpy(to, &x, sizeof x); }
static inline Floats splat(float x) { return Floats{x, x, x, x}; }
static inline Floats add(Floats a, Floats b) { return a + b; }
static inline Floats sub(Floats a, Floats b) { return a - b; }
static inline Floats mul(Floats a, Floats b) { return a * b; }
static inline Floats div(Floats a, Floats b) { return a / b; }
static inline Floats quotient(Floats a, Floats b) { return a / b; }
static inline Floats fma(Floats a, Floats b, Floats c) { return a * b + c; }
static inline Floats min(Floats a, Floats b) { return a < b ? a : b; }
static inline Floats max(Floats a, Floats b) { return a > b ? a : b; }
static inline float sum(Floats x) { return (x[0] + x[2]) + (x[1] + x[3]); }
static inline float less(float a, float b) { return a < b ? a : b; }
static inline float more(float a, float b) { return a > b ? a : b; }
static inline float least(Floats x) { return less(less(x[0], x[1]), less(x[2], x[3])); }
static inline float most(Floats x) { return more(more(x[0], x[1]), more(x[2], x[3])); }
static inline Floats first(int count, Floats x) {  // the others are 0
    return Ints{0, 1, 2, 3} < count ? x : splat(0.0f);
}
static inline Floats first_or(int count, Floats x, Floats others) { return Ints{0, 1, 2, 3} < count ? x : others; }

static inline Ints zeros() { return Ints{0, 0, 0, 0}; }
static inline Ints splat_int(int32_t x) { return Ints{x, x, x, x}; }
static inline Ints load_ints(const int32_t* from) { return read<Ints>(from); }
static inline Ints sub_ints(Ints a, Ints b) { return a - b; }
static inline Ints mul_ints(Ints a, Ints b) { return a * b; }
static inline Ints add_ints(Ints a, Ints b) { return a + b; }
static inline Ints clamp_bytes(Ints x) {
    x = x < 0 ? splat_int(0) : x;
    return x > 255 ? splat_int(255) : x;
}
static inline Floats to_floats(Ints x) { return __builtin_convertvector(x, Floats); }
static inline Ints to_ints(Floats x) {  // to the nearest, ties to even; |x| < 2^22
    const Floats shifted = x + splat(12582912.0f);  // 1.5 * 2^23: its last bit is worth 1
    return (Ints)shifted - 0x4B400000;
}
static inline Floats power_of_two(Ints n) {  // 2^n, -126 <= n <= 127
    return (Floats)((n + 127) << 23);
}
static inline void store_bytes(uint8_t* to, Ints x) {  // 0..255 each
    for (int lane = 0; lane < WIDTH; ++lane) to[lane] = static_cast<uint8_t>(x[lane]);
}
static inline Floats load_signed_bytes(const int8_t* from) {
    return to_floats(Ints{from[0], from[1], from[2], from[3]});
}

static inline Ints load_four(const uint8_t* from) {  // the same four inputs for every channel
    int32_t four;
    __builtin_memcpy(&four, from, 4);
    return splat_int(four);
}
static inline Integers load_weights(const int8_t* from) { return read<Integers>(from); }
constexpr float NIBBLE = 1.0f;
static inline void unpack(const uint8_t* from, Integers& first, Integers& second) {
    const Bytes both = read<Bytes>(from);
    first = (Integers)((both & 15) - 8);
    second = (Integers)((both >> 4) - 8);
}
static inline Floats load_halves(const uint16_t* from) {
    return (Floats)(Ints{from[0], from[1], from[2], from[3]} << 16);
}
static inline void store_halves(uint16_t* to, Floats x) {  // to the nearest, ties to even
    for (int lane = 0; lane < WIDTH; ++lane) {
        const float value = x[lane];
        uint32_t bits;
        __builtin_memcpy(&bits, &value, sizeof bits);
        to[lane] = static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
    }
}
// sums + two products of bf16 in each lane, the upper halves' first.
static inline Floats dot_halves(Floats sums, Ints inputs, Integers weights) {
    const Ints upper = splat_int(static_cast<int32_t>(0xFFFF0000u)), pairs = (Ints)weights;
    sums = fma((Floats)(inputs & upper), (Floats)(pairs & upper), sums);
    return fma((Floats)(inputs << 16), (Floats)(pairs << 16), sums);
}
template <bool WIDE>
static inline Ints dot(Ints sums, Ints inputs, Integers weights) {
    // Inputs and weights 0 and 2 of four, then 1 and 3; a product fits into 16 bits, its neighbour's sum does not.
    const Shorts input = (Shorts)inputs, weight = (Shorts)weights;
    const Ints even = (Ints)((input & 255) * ((weight << 8) >> 8));
    const Ints odd = (Ints)(((input >> 8) & 255) * (weight >> 8));
    sums += ((even << 16) >> 16) + (even >> 16);
    sums += ((odd << 16) >> 16) + (odd >> 16);
    return sums;
}

constexpr int64_t RUN = int64_t{1} << 32;  // a block's sums fit
static inline Ints dot_briefly(Ints sums, Ints inputs, Integers weights) {
    return dot<false>(sums, inputs, weights);
}
static inline Ints widened(Ints sums) { return sums; }

}  // namespace portable
}  // namespace millis
