// Products of rounded rows with weights of 4 bits, a scale for each block of an output's inputs: sums of a block, or of
// its parts of 8 * RUN inputs, are exact, and added in fp32, in the same order for any number of rows.
// Included once for each instruction set, inside its namespace.

// A tile's results: totals are NIBBLE times what they stand for.
template <int ROWS>
static inline void finish(Floats (&totals)[ROWS][PARTS], const float* steps, const int32_t* zero, const Matrix& matrix,
                          int64_t panel, float* results, int64_t stride) {
    for (int part = 0; part < PARTS; ++part) {
        const int64_t channel = panel * PANEL + part * WIDTH;
        const Floats offset = load(matrix.offsets + channel);
        const Floats bias = matrix.bias == nullptr ? splat(0.0f) : load(matrix.bias + channel);
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row) {
            const Floats taken = mul(splat(static_cast<float>(zero[row])), offset);
            const Floats centred = sub(mul(totals[row][part], splat(1.0f / NIBBLE)), taken);
            store(results + row * stride + channel, fma(centred, splat(steps[row]), bias));
        }
    }
}

template <int ROWS>
static inline void block_tile(bool leads, const uint8_t* bytes, int64_t byte_stride, const float* steps,
                              const int32_t* zero, const Matrix& matrix, int64_t panel, float* results,
                              int64_t stride) {
    constexpr int64_t AHEAD = 4096;
    constexpr int CHAINS = ROWS == 1 ? 2 : 1;  // one row's sums would wait for each other
    const int64_t pairs = padded(matrix.inputs, 8) / 8, in_block = matrix.block / 8;
    const int64_t blocks = (pairs + in_block - 1) / in_block;
    const uint8_t* weights = matrix.nibbles + panel * pairs * PANEL * 4;
    const float* scales = matrix.scales + panel * blocks * PANEL;
    Floats totals[ROWS][PARTS];
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row)
        for (int part = 0; part < PARTS; ++part) totals[row][part] = splat(0.0f);
    int64_t block_end = in_block;
    for (int64_t begin = 0, end = 0; begin < pairs; begin = end) {
        end = block_end - begin < RUN ? block_end : begin + RUN;
        end = end < pairs ? end : pairs;
        Ints sums[ROWS][CHAINS][PARTS];
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row)
            for (int chain = 0; chain < CHAINS; ++chain)
                for (int part = 0; part < PARTS; ++part) sums[row][chain][part] = zeros();
#pragma GCC unroll 4
        for (int64_t pair = begin; pair < end; ++pair, weights += PANEL * 4) {
            if (leads) fetch(weights + AHEAD);
#pragma GCC unroll 8
            for (int part = 0; part < PARTS; ++part) {
                Integers first, second;
                unpack(weights + part * WIDTH * 4, first, second);
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; ++row) {
                    const uint8_t* eight = bytes + row * byte_stride + 8 * pair;
                    Ints &one = sums[row][0][part], &other = sums[row][CHAINS - 1][part];
                    one = dot_briefly(one, load_four(eight), first);
                    other = dot_briefly(other, load_four(eight + 4), second);
                }
            }
        }
#pragma GCC unroll 8
        for (int part = 0; part < PARTS; ++part) {
            const Floats scale = load(scales + part * WIDTH);
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; ++row) {
                Ints all = widened(sums[row][0][part]);
                if (CHAINS > 1) all = add_ints(all, widened(sums[row][CHAINS - 1][part]));
                totals[row][part] = fma(to_floats(all), scale, totals[row][part]);
            }
        }
        if (end == block_end) scales += PANEL, block_end += in_block;
    }
    finish<ROWS>(totals, steps, zero, matrix, panel, results, stride);
}

// As `multiply_integers`.
static void multiply_blocks(const uint8_t* bytes, int64_t byte_stride, const float* steps, const int32_t* zero,
                            int64_t rows, const Matrix& matrix, float* results, int64_t stride, int64_t first,
                            int64_t last) {
    for (int64_t panel = first; panel < last; ++panel)
        in_blocks<BLOCK_ROWS>(rows, [&](int64_t row, int count) {
            const uint8_t* given = bytes + row * byte_stride;
            float* found = results + row * stride;
#define MILLIS_ROWS(ROWS)                                                                                       \
    case ROWS:                                                                                                  \
        if (ROWS <= BLOCK_ROWS)                                                                                 \
            block_tile<(ROWS <= BLOCK_ROWS ? ROWS : 1)>(row == 0, given, byte_stride, steps + row, zero + row,  \
                                                        matrix, panel, found, stride);                          \
        break;
            switch (count) {
                MILLIS_ROWS(1) MILLIS_ROWS(2) MILLIS_ROWS(3) MILLIS_ROWS(4)
                MILLIS_ROWS(5) MILLIS_ROWS(6) MILLIS_ROWS(7) MILLIS_ROWS(8)
                default: break;
            }
#undef MILLIS_ROWS
        });
}
