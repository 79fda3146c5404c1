// Attention of a text's tokens to each other, head by head: softmax(scale * Q K^T) V, in fp32.
//
// Keys are transposed and values copied into panels, as matrices are, so that both products are those of `products.h`.
// Included once for each instruction set, inside its namespace.

// Scores [keys] to probabilities; what pads them becomes 0.
static inline void softmax_row(float* scores, int64_t keys, float scale) {
    const Floats factor = splat(scale), lowest = splat(-3.0e38f);
    Floats tops = lowest;
    for (int64_t at = 0; at < keys; at += WIDTH) {
        const Floats x = load(scores + at);
        tops = max(tops, keys - at < WIDTH ? first_or(static_cast<int>(keys - at), x, lowest) : x);
    }
    const Floats highest = splat(most(tops));
    Floats total = splat(0.0f);
    for (int64_t at = 0; at < padded(keys, PANEL); at += WIDTH) {
        Floats x = exponential(mul(sub(load(scores + at), highest), factor));
        const int64_t left = keys - at;
        if (left < WIDTH) x = first(left > 0 ? static_cast<int>(left) : 0, x);
        store(scores + at, x);
        total = add(total, x);
    }
    const Floats share = splat(1.0f / sum(total));
    for (int64_t at = 0; at < keys; at += WIDTH) store(scores + at, mul(load(scores + at), share));
}

// What pads the last panel is any number, and so are the scores of keys that are not there.
static inline void pack_keys(const float* keys, int64_t stride, int64_t count, int64_t size, float* packed) {
    for (int64_t at = 0; at < count; ++at, keys += stride) {
        float* column = packed + at / PANEL * PANEL * size + at % PANEL;
        for (int64_t place = 0; place < size; ++place) column[place * PANEL] = keys[place];
    }
}

static inline void pack_values(const float* values, int64_t stride, int64_t count, int64_t size, float* packed) {
    for (int64_t panel = 0; panel * PANEL < size; ++panel)
        for (int64_t at = 0; at < count; ++at, packed += PANEL) {
            const float* from = values + at * stride + panel * PANEL;
            for (int part = 0; part < PARTS; ++part)
                store(packed + part * WIDTH, load(from + part * WIDTH));
        }
}

// Columns of `in`: queries, keys, values, [heads * size] each. Columns of `out`: [heads * size], of the heads from
// `first` to before `last`. Where `received` is given, what each token receives of these heads and all queries is added
// up there.
static void attend(const Step& step, const Slot& in, Slot& out, const Text& text, float* scratch, float* received,
                   int64_t first, int64_t last) {
    const int64_t count = text.count, size = step.width, all = step.count * size;
    const int64_t key_panels = padded(count, PANEL) / PANEL, value_panels = padded(size, PANEL) / PANEL;
    float* keys = scratch;
    float* values = keys + key_panels * PANEL * size;
    float* scores = values + value_panels * PANEL * count;
    for (int64_t head = first; head < last; ++head) {
        const float* from = in.values + text.start * in.stride + head * size;
        float* to = out.values + text.start * out.stride + head * size;
        pack_keys(from + all, in.stride, count, size, keys);
        pack_values(from + 2 * all, in.stride, count, size, values);
        for (int64_t row = 0; row < count; row += QUERIES) {
            const int64_t rows = count - row < QUERIES ? count - row : QUERIES;
            multiply_packed(false, from + row * in.stride, in.stride, rows, size, keys, key_panels, size * PANEL,
                            nullptr, scores, key_panels * PANEL);
            for (int64_t query = 0; query < rows; ++query) {
                softmax_row(scores + query * key_panels * PANEL, count, step.number);
                if (received != nullptr) add_row(received, scores + query * key_panels * PANEL, count);
            }
            multiply_packed(false, scores, key_panels * PANEL, rows, count, values, value_panels,
                            count * PANEL, nullptr, to + row * out.stride, out.stride);
        }
    }
}
