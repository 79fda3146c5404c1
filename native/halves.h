// Products of rows of bf16 with weights of bf16: two inputs of an output side by side, products exact, sums in fp32 and
// in the same order for any number of rows.
// Included once for each instruction set, inside its namespace.

template <int ROWS, int PANELS>
static inline void half_tile(bool leads, const uint16_t* rows, int64_t row_stride, const Matrix& matrix, int64_t panel,
                             float* results, int64_t stride) {
    constexpr int VECTORS = PANELS * PARTS;
    const int64_t pairs = (matrix.inputs + 1) / 2, panel_size = pairs * PANEL * 2;
    const int8_t* weights = reinterpret_cast<const int8_t*>(matrix.halves + panel * panel_size);
    Floats sums[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int part = 0; part < VECTORS; ++part) {
        const Floats start =
            matrix.bias == nullptr ? splat(0.0f) : load(matrix.bias + panel * PANEL + part * WIDTH);
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row) sums[row][part] = start;
    }
    for (int64_t pair = 0; pair < pairs; ++pair) {
        Integers two[VECTORS];
#pragma GCC unroll 8
        for (int part = 0; part < VECTORS; ++part)
            two[part] = load_weights(weights + (part / PARTS) * panel_size * 2 + (part % PARTS) * WIDTH * 4);
        if (leads)
#pragma GCC unroll 8
            for (int ahead = 0; ahead < PANELS; ++ahead) fetch(weights + (PANELS + ahead) * panel_size * 2);
        weights += PANEL * 4;
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row) {
            const Ints inputs = load_four(reinterpret_cast<const uint8_t*>(rows + row * row_stride + 2 * pair));
#pragma GCC unroll 8
            for (int part = 0; part < VECTORS; ++part)
                sums[row][part] = dot_halves(sums[row][part], inputs, two[part]);
        }
    }
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
        for (int part = 0; part < VECTORS; ++part)
            store(results + row * stride + panel * PANEL + part * WIDTH, sums[row][part]);
}

template <int PANELS>
static inline void half_rows(int count, bool leads, const uint16_t* rows, int64_t row_stride, const Matrix& matrix,
                             int64_t panel, float* results, int64_t stride) {
#define MILLIS_ROWS(ROWS)                                                                                      \
    case ROWS:                                                                                                 \
        if (ROWS <= FLOAT_ROWS)                                                                                \
            half_tile<(ROWS <= FLOAT_ROWS ? ROWS : 1), PANELS>(leads, rows, row_stride, matrix, panel, results, \
                                                               stride);                                        \
        break;
    switch (count) {
        MILLIS_ROWS(1) MILLIS_ROWS(2) MILLIS_ROWS(3) MILLIS_ROWS(4)
        MILLIS_ROWS(5) MILLIS_ROWS(6) MILLIS_ROWS(7) MILLIS_ROWS(8)
        default: break;
    }
#undef MILLIS_ROWS
}

// As `MultiplyHalves`. One row takes more panels at a time, whose sums need not wait for each other.
static void multiply_halves(const uint16_t* rows, int64_t row_stride, int64_t count, const Matrix& matrix,
                            float* results, int64_t stride, int64_t first, int64_t last) {
    constexpr int ALONE = 8 / PARTS;
    int64_t panel = first;
    if (count == 1)
        for (; panel + ALONE <= last; panel += ALONE)
            half_tile<1, ALONE>(true, rows, row_stride, matrix, panel, results, stride);
    for (; panel + TILE_PANELS <= last; panel += TILE_PANELS)
        in_blocks<FLOAT_ROWS>(count, [&](int64_t row, int some) {
            half_rows<TILE_PANELS>(some, row == 0, rows + row * row_stride, row_stride, matrix, panel,
                                   results + row * stride, stride);
        });
    for (; panel < last; ++panel)
        in_blocks<FLOAT_ROWS>(count, [&](int64_t row, int some) {
            half_rows<1>(some, row == 0, rows + row * row_stride, row_stride, matrix, panel, results + row * stride,
                         stride);
        });
}
