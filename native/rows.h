// What is computed of one row at a time: rounding to bytes, layer norms, activations, sums of embeddings.
// Included once for each instruction set, inside its namespace.

// As ONNX's DynamicQuantizeLinear, of each row by itself: step = (high - low) / 255 with 0 in the range,
// zero = round(-low / step), byte = round(value / step) + zero. An empty range has step 1.
struct Extent {
    Floats lowest, highest;  // 0 included
};

// What pads a row is not read as numbers: `width` ends where it ends, whatever lies behind.
static inline Floats within(int64_t width, int64_t at, Floats x) {
    return width - at < WIDTH ? first(static_cast<int>(width - at), x) : x;
}

static inline void widen(Extent& extent, Floats x) {
    extent.lowest = min(extent.lowest, x);
    extent.highest = max(extent.highest, x);
}

static inline Extent extent(const float* values, int64_t width) {
    Extent found = {splat(0.0f), splat(0.0f)};
    for (int64_t at = 0; at < width; at += WIDTH) widen(found, within(width, at, load(values + at)));
    return found;
}

static inline void round_within(Extent extent, const float* values, int64_t width, uint8_t* bytes, float* step,
                                int32_t* zero) {
    const float low = least(extent.lowest), range = (most(extent.highest) - low) / 255.0f;
    const float scale = range < 1.17549435e-38f ? 1.0f : range, inverse = 1.0f / scale;
    const float ideal = -low * inverse;
    const int32_t offset = !(ideal > 0.0f) ? 0 : ideal >= 255.0f ? 255 : static_cast<int32_t>(ideal + 0.5f);
    const Ints shift = splat_int(offset);
    const Floats factor = splat(inverse);
    for (int64_t at = 0; at < width; at += WIDTH)
        store_bytes(bytes + at, clamp_bytes(add_ints(to_ints(mul(load(values + at), factor)), shift)));
    *step = scale;
    *zero = offset;
}

static inline void round_row(const float* values, int64_t width, uint8_t* bytes, float* step, int32_t* zero) {
    round_within(extent(values, width), values, width, bytes, step, zero);
}

static void round_rows(const float* values, int64_t stride, int64_t rows, int64_t width, uint8_t* bytes,
                       int64_t byte_stride, float* steps, int32_t* zero) {
    for (int64_t row = 0; row < rows; ++row)
        round_row(values + row * stride, width, bytes + row * byte_stride, steps + row, zero + row);
}

static inline void halve_row(const float* values, int64_t width, uint16_t* halves) {
    for (int64_t at = 0; at < width; at += WIDTH) store_halves(halves + at, within(width, at, load(values + at)));
}

static inline uint16_t* half_row(const Slot& slot, int64_t row) {
    return reinterpret_cast<uint16_t*>(slot.bytes + row * slot.byte_stride);
}

static inline void round_slot_row(Slot& slot, int64_t row, int64_t width) {
    round_row(slot.values + row * slot.stride, width, slot.bytes + row * slot.byte_stride, slot.steps + row,
              slot.zeros + row);
}

// values = values / sqrt(mean of squares + epsilon) * gain over `width` numbers (Zhang and Sennrich 2019, 1910.07467).
static inline void root_norm_row(float* values, int64_t width, const Norm& norm) {
    Floats squares = splat(0.0f);
    for (int64_t at = 0; at < width; at += WIDTH) {
        const Floats x = within(width, at, load(values + at));
        squares = fma(x, x, squares);
    }
    const Floats spread = splat(1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(width) + norm.epsilon));
    for (int64_t at = 0; at < width; at += WIDTH)
        store(values + at, mul(mul(load(values + at), spread), load(norm.gain + at)));
}

// values = (values - mean) / sqrt(variance + epsilon) * gain + shift over `width` numbers.
static inline void norm_row(float* values, int64_t width, const Norm& norm) {
    if (norm.shift == nullptr) return root_norm_row(values, width, norm);
    Floats total = splat(0.0f), squares = splat(0.0f);
    for (int64_t at = 0; at < width; at += WIDTH) total = add(total, within(width, at, load(values + at)));
    const Floats centre = splat(sum(total) / static_cast<float>(width));
    for (int64_t at = 0; at < width; at += WIDTH) {
        const Floats x = within(width, at, sub(load(values + at), centre));
        squares = fma(x, x, squares);
    }
    const Floats spread = splat(1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(width) + norm.epsilon));
    for (int64_t at = 0; at < width; at += WIDTH) {
        const Floats x = mul(sub(load(values + at), centre), spread);
        store(values + at, fma(x, load(norm.gain + at), load(norm.shift + at)));
    }
}

template <int KIND>
static inline Extent activate_row(float* values, int64_t width) {
    Extent found = {splat(0.0f), splat(0.0f)};
    for (int64_t at = 0; at < width; at += WIDTH) {
        const Floats x = activated<KIND>(load(values + at));
        store(values + at, x);
        widen(found, within(width, at, x));
    }
    return found;
}

static inline Extent activate(float* values, int64_t width, int64_t activation) {
    switch (activation) {
        case GELU: return activate_row<GELU>(values, width);
        case GELU_TANH: return activate_row<GELU_TANH>(values, width);
        case RELU: return activate_row<RELU>(values, width);
        case TANH: return activate_row<TANH>(values, width);
        case SILU: return activate_row<SILU>(values, width);
        default: return extent(values, width);
    }
}

// sums += factor * row of the table.
static inline void add_table_row(float* sums, const Table& table, int64_t row, float factor) {
    if (table.floats != nullptr) {
        const float* values = table.floats + row * table.stride;
        for (int64_t at = 0; at < table.width; at += WIDTH)
            store(sums + at, fma(load(values + at), splat(factor), load(sums + at)));
        return;
    }
    if (table.halves != nullptr) {
        const uint16_t* values = table.halves + row * table.stride;
        for (int64_t at = 0; at < table.width; at += WIDTH)
            store(sums + at, fma(load_halves(values + at), splat(factor), load(sums + at)));
        return;
    }
    const int8_t* values = table.integers + row * table.stride;
    const Floats step = splat(table.scales[row] * factor);
    for (int64_t at = 0; at < table.width; at += WIDTH)
        store(sums + at, fma(load_signed_bytes(values + at), step, load(sums + at)));
}

// sums += row of a matrix: what the product with it has for one of its outputs.
static inline void add_matrix_row(float* sums, const Matrix& matrix, int64_t row) {
    const int64_t panel = row / PANEL, lane = row % PANEL;
    if (matrix.floats != nullptr) {
        const float* values = matrix.floats + panel * PANEL * matrix.inputs + lane;
        for (int64_t at = 0; at < matrix.inputs; ++at) sums[at] += values[at * PANEL];
        return;
    }
    if (matrix.halves != nullptr) {
        const uint16_t* values = matrix.halves + panel * PANEL * padded(matrix.inputs, 2) + 2 * lane;
        for (int64_t at = 0; at < matrix.inputs; ++at) {
            const uint32_t bits = static_cast<uint32_t>(values[at / 2 * 2 * PANEL + at % 2]) << 16;
            float value;
            __builtin_memcpy(&value, &bits, sizeof value);
            sums[at] += value;
        }
        return;
    }
    const int8_t* values = matrix.integers + panel * PANEL * padded(matrix.inputs, 4) + 4 * lane;
    const float scale = matrix.scales[row];
    for (int64_t at = 0; at < matrix.inputs; ++at)
        sums[at] += static_cast<float>(values[at / 4 * 4 * PANEL + at % 4]) * scale;
}

static inline void clear(float* values, int64_t width) {
    for (int64_t at = 0; at < width; at += WIDTH) store(values + at, splat(0.0f));
}

static inline void copy(float* to, const float* from, int64_t width) {
    for (int64_t at = 0; at < width; at += WIDTH) store(to + at, load(from + at));
}

static inline void add_row(float* to, const float* from, int64_t width) {
    for (int64_t at = 0; at < width; at += WIDTH) store(to + at, add(load(to + at), load(from + at)));
}
