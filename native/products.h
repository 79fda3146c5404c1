// Products of rows with packed matrices. A tile is some rows times some panels, whose sums stay in registers.
// Included once for each instruction set, inside its namespace.

template <int ROWS, int PANELS, bool WIDE>
static inline void integer_tile(bool leads, const uint8_t* bytes, int64_t byte_stride, const float* steps,
                                const int32_t* zero, const Matrix& matrix, int64_t panel, float* results,
                                int64_t stride) {
    constexpr int VECTORS = PANELS * PARTS;
    const int64_t groups = (matrix.inputs + 3) / 4, panel_bytes = groups * PANEL * 4;
    const int8_t* weights = matrix.integers + panel * panel_bytes;
    Ints sums[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
        for (int part = 0; part < VECTORS; ++part) sums[row][part] = zeros();
    for (int64_t group = 0; group < groups; ++group) {
        Integers four[VECTORS];
#pragma GCC unroll 8
        for (int part = 0; part < VECTORS; ++part)
            four[part] = load_weights(weights + (part / PARTS) * panel_bytes + (part % PARTS) * WIDTH * 4);
        if (leads)
#pragma GCC unroll 8
            for (int ahead = 0; ahead < PANELS; ++ahead) fetch(weights + (PANELS + ahead) * panel_bytes);
        weights += PANEL * 4;
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row) {
            const Ints inputs = load_four(bytes + row * byte_stride + 4 * group);
#pragma GCC unroll 8
            for (int part = 0; part < VECTORS; ++part) sums[row][part] = dot<WIDE>(sums[row][part], inputs, four[part]);
        }
    }
#pragma GCC unroll 8
    for (int part = 0; part < VECTORS; ++part) {
        const int64_t channel = panel * PANEL + part * WIDTH;
        const Floats scales = load(matrix.scales + channel);
        const Floats bias = matrix.bias == nullptr ? splat(0.0f) : load(matrix.bias + channel);
        const Ints channel_sums = load_ints(matrix.sums + channel);
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row) {
            const Ints centred = sub_ints(sums[row][part], mul_ints(splat_int(zero[row]), channel_sums));
            const Floats step = mul(splat(steps[row]), scales);
            store(results + row * stride + channel, fma(to_floats(centred), step, bias));
        }
    }
}

static inline Floats load_numbers(const float* from) { return load(from); }
static inline Floats load_numbers(const int8_t* from) { return load_signed_bytes(from); }

template <int ROWS, int PANELS, typename Number>
static inline void float_tile(bool leads, const float* values, int64_t value_stride, int64_t inputs,
                              const Number* weights, int64_t panel_size, const float* bias, float* results,
                              int64_t stride) {
    constexpr int VECTORS = PANELS * PARTS;
    Floats sums[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int part = 0; part < VECTORS; ++part) {
        const Floats start = bias == nullptr ? splat(0.0f) : load(bias + part * WIDTH);
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row) sums[row][part] = start;
    }
    for (int64_t input = 0; input < inputs; ++input) {
        Floats channels[VECTORS];
#pragma GCC unroll 8
        for (int part = 0; part < VECTORS; ++part)
            channels[part] = load_numbers(weights + (part / PARTS) * panel_size + (part % PARTS) * WIDTH);
        if (leads)
#pragma GCC unroll 8
            for (int ahead = 0; ahead < PANELS; ++ahead) fetch(weights + (PANELS + ahead) * panel_size);
        weights += PANEL;
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row) {
            const Floats value = splat(values[row * value_stride + input]);
#pragma GCC unroll 8
            for (int part = 0; part < VECTORS; ++part) sums[row][part] = fma(value, channels[part], sums[row][part]);
        }
    }
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
        for (int part = 0; part < VECTORS; ++part) store(results + row * stride + part * WIDTH, sums[row][part]);
}

#include "blocks.h"

template <int PANELS, bool WIDE>
static inline void integer_rows(int rows, bool leads, const uint8_t* bytes, int64_t byte_stride, const float* steps,
                                const int32_t* zero, const Matrix& matrix, int64_t panel, float* results,
                                int64_t stride) {
    constexpr int MOST = WIDE ? WIDE_ROWS : NARROW_ROWS;
#define MILLIS_ROWS(ROWS)                                                                                       \
    case ROWS:                                                                                                  \
        if (ROWS <= MOST)                                                                                  \
            integer_tile<(ROWS <= MOST ? ROWS : 1), PANELS, WIDE>(leads, bytes, byte_stride, steps, zero, matrix, \
                                                                       panel, results, stride);                 \
        break;
    switch (rows) {
        MILLIS_ROWS(1) MILLIS_ROWS(2) MILLIS_ROWS(3) MILLIS_ROWS(4)
        MILLIS_ROWS(5) MILLIS_ROWS(6) MILLIS_ROWS(7) MILLIS_ROWS(8)
        default: break;
    }
#undef MILLIS_ROWS
}

template <int PANELS, typename Number>
static inline void float_rows(int rows, bool leads, const float* values, int64_t value_stride, int64_t inputs,
                              const Number* weights, int64_t panel_size, const float* bias, float* results,
                              int64_t stride) {
#define MILLIS_ROWS(ROWS)                                                                                        \
    case ROWS:                                                                                                   \
        if (ROWS <= FLOAT_ROWS)                                                                                  \
            float_tile<(ROWS <= FLOAT_ROWS ? ROWS : 1), PANELS>(leads, values, value_stride, inputs, weights,    \
                                                                panel_size, bias, results, stride);              \
        break;
    switch (rows) {
        MILLIS_ROWS(1) MILLIS_ROWS(2) MILLIS_ROWS(3) MILLIS_ROWS(4)
        MILLIS_ROWS(5) MILLIS_ROWS(6) MILLIS_ROWS(7) MILLIS_ROWS(8)
        default: break;
    }
#undef MILLIS_ROWS
}

// One row: a matter of reading. Panels follow each other in memory, so what is asked for lies so many bytes ahead;
// every second group of inputs has sums of its own, as each of their instructions waits for the one before.
template <bool WIDE>
static void integer_row(const uint8_t* bytes, float step, int32_t zero, const Matrix& matrix, float* results,
                        int64_t panel, int64_t last) {
    constexpr int64_t AHEAD = 4096;
    constexpr int CHAINS = 2;
    const int64_t groups = (matrix.inputs + 3) / 4;
    const int8_t* weights = matrix.integers + panel * groups * PANEL * 4;
    for (; panel < last; ++panel) {
        Ints sums[CHAINS][PARTS];
        for (int chain = 0; chain < CHAINS; ++chain)
            for (int part = 0; part < PARTS; ++part) sums[chain][part] = zeros();
        const auto add = [&](int64_t group, int chain) {
            const Ints inputs = load_four(bytes + 4 * group);
#pragma GCC unroll 8
            for (int part = 0; part < PARTS; ++part)
                sums[chain][part] = dot<WIDE>(sums[chain][part], inputs, load_weights(weights + part * WIDTH * 4));
            fetch(weights + AHEAD);
            weights += PANEL * 4;
        };
        for (int64_t group = 0; group + CHAINS <= groups; group += CHAINS)
#pragma GCC unroll 8
            for (int chain = 0; chain < CHAINS; ++chain) add(group + chain, chain);
        for (int64_t group = groups / CHAINS * CHAINS; group < groups; ++group) add(group, 0);
        for (int part = 0; part < PARTS; ++part) {
            const int64_t channel = panel * PANEL + part * WIDTH;
            const Ints taken = mul_ints(splat_int(zero), load_ints(matrix.sums + channel));
            const Ints centred = sub_ints(add_ints(sums[0][part], sums[1][part]), taken);
            const Floats bias = matrix.bias == nullptr ? splat(0.0f) : load(matrix.bias + channel);
            store(results + channel, fma(to_floats(centred), mul(splat(step), load(matrix.scales + channel)), bias));
        }
    }
}

template <bool WIDE>
static void integer_panels(const uint8_t* bytes, int64_t byte_stride, const float* steps, const int32_t* zero,
                           int64_t rows, const Matrix& matrix, float* results, int64_t stride, int64_t panel,
                           int64_t last) {
    if (rows == 1) return integer_row<WIDE>(bytes, *steps, *zero, matrix, results, panel, last);
    for (; panel + TILE_PANELS <= last; panel += TILE_PANELS)
        in_blocks<WIDE ? WIDE_ROWS : NARROW_ROWS>(rows, [&](int64_t row, int count) {
            integer_rows<TILE_PANELS, WIDE>(count, row == 0, bytes + row * byte_stride, byte_stride, steps + row,
                                            zero + row, matrix, panel, results + row * stride, stride);
        });
    for (; panel < last; ++panel)
        in_blocks<WIDE ? WIDE_ROWS : NARROW_ROWS>(rows, [&](int64_t row, int count) {
            integer_rows<1, WIDE>(count, row == 0, bytes + row * byte_stride, byte_stride, steps + row, zero + row,
                                  matrix, panel, results + row * stride, stride);
        });
}

// results[row] = steps[row] * scales * (sum of (byte - zero[row]) * weight) + bias, the sum exactly where all inputs
// share a scale; of the panels from `first` to before `last`.
static void multiply_integers(const uint8_t* bytes, int64_t byte_stride, const float* steps, const int32_t* zero,
                              int64_t rows, const Matrix& matrix, float* results, int64_t stride, int64_t first,
                              int64_t last) {
    if (matrix.nibbles != nullptr)
        multiply_blocks(bytes, byte_stride, steps, zero, rows, matrix, results, stride, first, last);
    else if (matrix.wide)
        integer_panels<true>(bytes, byte_stride, steps, zero, rows, matrix, results, stride, first, last);
    else
        integer_panels<false>(bytes, byte_stride, steps, zero, rows, matrix, results, stride, first, last);
}

// results [rows, panels * PANEL] = values [rows, inputs] times weights [panels][inputs][PANEL] of fp32 or of bytes, a
// panel each `panel_size`, and a bias.
template <typename Number>
static void multiply_packed(bool leads, const float* values, int64_t value_stride, int64_t rows, int64_t inputs,
                            const Number* weights, int64_t panels, int64_t panel_size, const float* bias,
                            float* results, int64_t stride) {
    int64_t panel = 0;
    for (; panel + TILE_PANELS <= panels; panel += TILE_PANELS)
        in_blocks<FLOAT_ROWS>(rows, [&](int64_t row, int count) {
            float_rows<TILE_PANELS>(count, leads && row == 0, values + row * value_stride, value_stride, inputs,
                                    weights + panel * panel_size, panel_size,
                                    bias == nullptr ? bias : bias + panel * PANEL,
                                    results + row * stride + panel * PANEL, stride);
        });
    for (; panel < panels; ++panel)
        in_blocks<FLOAT_ROWS>(rows, [&](int64_t row, int count) {
            float_rows<1>(count, leads && row == 0, values + row * value_stride, value_stride, inputs,
                          weights + panel * panel_size, panel_size, bias == nullptr ? bias : bias + panel * PANEL,
                          results + row * stride + panel * PANEL, stride);
        });
}

static void multiply_floats(const float* values, int64_t value_stride, int64_t rows, const Matrix& matrix,
                            float* results, int64_t stride, int64_t first, int64_t last) {
    multiply_packed(true, values, value_stride, rows, matrix.inputs, matrix.floats + first * matrix.inputs * PANEL,
                    last - first, matrix.inputs * PANEL, matrix.bias == nullptr ? nullptr : matrix.bias + first * PANEL,
                    results + first * PANEL, stride);
}
