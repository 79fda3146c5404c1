// What is computed of one row at a time: rounding to bytes, layer norms, activations, sums of embeddings.
// Included once for each instruction set, inside its namespace.

// As ONNX's DynamicQuantizeLinear, of each row by itself: step = (high - low) / 255 with 0 in the range,
// zero = round(-low / step), byte = round(value / step) + zero. An empty range has step 1.
static inline void round_row(const float* values, int64_t width, uint8_t* bytes, float* step, int32_t* zero) {
    Floats lowest = splat(0.0f), highest = splat(0.0f);
    for (int64_t at = 0; at < width; at += WIDTH) {
        const Floats x = load(values + at);
        lowest = min(lowest, x);
        highest = max(highest, x);
    }
    const float low = least(lowest), range = (most(highest) - low) / 255.0f;
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

static void round_rows(const float* values, int64_t stride, int64_t rows, int64_t width, uint8_t* bytes,
                       int64_t byte_stride, float* steps, int32_t* zero) {
    for (int64_t row = 0; row < rows; ++row)
        round_row(values + row * stride, width, bytes + row * byte_stride, steps + row, zero + row);
}

static inline void round_slot_row(Slot& slot, int64_t row, int64_t width) {
    round_row(slot.values + row * slot.stride, width, slot.bytes + row * slot.byte_stride, slot.steps + row,
              slot.zeros + row);
}

// values = (values - mean) / sqrt(variance + epsilon) * gain + shift over `width` numbers; what pads them stays 0.
static inline void norm_row(float* values, int64_t width, const Norm& norm) {
    Floats total = splat(0.0f);
    for (int64_t at = 0; at < width; at += WIDTH) total = add(total, load(values + at));
    const float mean = sum(total) / static_cast<float>(width);
    const Floats centre = splat(mean);
    Floats squares = splat(0.0f);
    const int64_t whole = width / WIDTH * WIDTH;
    for (int64_t at = 0; at < whole; at += WIDTH) {
        const Floats x = sub(load(values + at), centre);
        squares = fma(x, x, squares);
    }
    if (whole < width) {
        const Floats x = first(static_cast<int>(width - whole), sub(load(values + whole), centre));
        squares = fma(x, x, squares);
    }
    const Floats spread = splat(1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(width) + norm.epsilon));
    for (int64_t at = 0; at < width; at += WIDTH) {
        const Floats x = mul(sub(load(values + at), centre), spread);
        store(values + at, fma(x, load(norm.gain + at), load(norm.shift + at)));
    }
}

template <int KIND>
static inline void activate_row(float* values, int64_t width) {
    for (int64_t at = 0; at < width; at += WIDTH) store(values + at, activated<KIND>(load(values + at)));
}

static inline void activate(float* values, int64_t width, int64_t activation) {
    switch (activation) {
        case GELU: return activate_row<GELU>(values, width);
        case GELU_TANH: return activate_row<GELU_TANH>(values, width);
        case RELU: return activate_row<RELU>(values, width);
        case TANH: return activate_row<TANH>(values, width);
        case SILU: return activate_row<SILU>(values, width);
        default: return;
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
    const int8_t* values = table.integers + row * table.stride;
    const Floats step = splat(table.scales[row] * factor);
    for (int64_t at = 0; at < table.width; at += WIDTH)
        store(sums + at, fma(load_signed_bytes(values + at), step, load(sums + at)));
}

static inline void clear(float* values, int64_t width) {
    for (int64_t at = 0; at < width; at += WIDTH) store(values + at, splat(0.0f));
}

static inline void copy(float* to, const float* from, int64_t width) {
    for (int64_t at = 0; at < width; at += WIDTH) store(to + at, load(from + at));
}
