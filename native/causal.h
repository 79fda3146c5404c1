// Attention of tokens to those before them and to themselves, whose keys and values are kept: softmax(scale * Q K^T) V.
//
// Keys and values are kept in fp32, or in bytes with a step for each token's key and for its value: key = step * byte.
// A key's step is a factor of its score, and a value's of its share, so that queries and shares stay fp32, and so do
// sums.
//
// Heads of queries share heads of keys and values (Ainslie et al. 2023, 2305.13245); queries and keys are turned by
// their places (Su et al. 2021, 2104.09864), pairs of numbers lying half a head apart.
// Included once for each instruction set, inside its namespace.

// A head's numbers a and b, half a head apart, become a cos - b sin and b cos + a sin.
static inline void turn(float* head, int64_t half, const float* cosines) {
    const float* sines = cosines + half;
    int64_t at = 0;
    for (; at + WIDTH <= half; at += WIDTH) {
        const Floats a = load(head + at), b = load(head + half + at), c = load(cosines + at), s = load(sines + at);
        store(head + at, sub(mul(a, c), mul(b, s)));
        store(head + half + at, add(mul(b, c), mul(a, s)));
    }
    for (; at < half; ++at) {
        const float a = head[at], b = head[half + at];
        head[at] = a * cosines[at] - b * sines[at];
        head[half + at] = b * cosines[at] + a * sines[at];
    }
}

// A head's numbers as bytes, each where `to` has it: step = largest magnitude / 127, byte = number / step to the
// nearest, ties to even; the step of zeros is 1. Returns the step.
template <typename To>
static inline float round_numbers(const float* values, int64_t size, To to) {
    constexpr int MIDDLE = 128;  // of unsigned bytes
    const Extent extremes = extent(values, size);
    const float low = -least(extremes.lowest), high = most(extremes.highest);
    const float ideal = (low > high ? low : high) / 127.0f, step = ideal < 1.17549435e-38f ? 1.0f : ideal;
    const Floats inverse = splat(1.0f / step);
    for (int64_t at = 0; at < size; at += WIDTH) {
        uint8_t whole[WIDTH];
        const Ints rounded = to_ints(mul(within(size, at, load(values + at)), inverse));
        store_bytes(whole, clamp_bytes(add_ints(rounded, splat_int(MIDDLE))));
        for (int64_t place = at; place < at + WIDTH && place < size; ++place)
            to(place) = static_cast<int8_t>(whole[place - at] - MIDDLE);
    }
    return step;
}

static void round_head(const float* values, int64_t size, int8_t* bytes, float* step) {
    *step = round_numbers(values, size, [&](int64_t place) -> int8_t& { return bytes[place]; });
}

// As `multiply_packed`, of bytes that lie panel after panel.
static void multiply_bytes(const float* values, int64_t value_stride, int64_t rows, int64_t inputs,
                           const int8_t* weights, int64_t panels, float* results, int64_t stride) {
    multiply_packed(true, values, value_stride, rows, inputs, weights, panels, inputs * PANEL, nullptr, results,
                    stride);
}

// What is kept of one head of keys and values (`past_size`), in fp32.
struct KeptFloats {
    float *keys, *values;
    int64_t room, size;

    KeptFloats(float* from, int64_t tokens, int64_t numbers)
        : keys(from), values(from + padded(tokens, PANEL) * numbers), room(tokens), size(numbers) {}

    void keep(const float* key, const float* value, int64_t place) const {
        float* column = keys + place / PANEL * PANEL * size + place % PANEL;
        for (int64_t at = 0; at < size; ++at) column[at * PANEL] = key[at];
        for (int64_t panel = 0; panel * PANEL < size; ++panel)
            for (int part = 0; part < PARTS; ++part)
                store(values + (panel * room + place) * PANEL + part * WIDTH,
                      load(value + panel * PANEL + part * WIDTH));
    }

    void weigh_keys(float*, int64_t) const {}
    void weigh_values(float*, int64_t) const {}
};

// The same in bytes.
struct KeptBytes {
    int8_t *keys, *values;
    float *key_steps, *value_steps;
    int64_t room, size;

    KeptBytes(float* from, int64_t tokens, int64_t numbers)
        : keys(reinterpret_cast<int8_t*>(from)), values(keys + padded(tokens, PANEL) * numbers), room(tokens),
          size(numbers) {
        value_steps = from + past_size(tokens, numbers, OF_BYTES) - padded(tokens, PANEL);
        key_steps = value_steps - padded(tokens, PANEL);
    }

    void keep(const float* key, const float* value, int64_t place) const {
        key_steps[place] = round_numbers(key, size, [&](int64_t at) -> int8_t& {
            return keys[place / PANEL * PANEL * size + at * PANEL + place % PANEL];
        });
        value_steps[place] = round_numbers(value, size, [&](int64_t at) -> int8_t& {
            return values[(at / PANEL * room + place) * PANEL + at % PANEL];
        });
    }

    // Scores of keys, and shares of values, of as many tokens: times their steps.
    void weigh_keys(float* scores, int64_t count) const { weigh(scores, key_steps, count); }
    void weigh_values(float* shares, int64_t count) const { weigh(shares, value_steps, count); }

  private:
    static void weigh(float* numbers, const float* steps, int64_t count) {
        for (int64_t at = 0; at < count; at += WIDTH) store(numbers + at, mul(load(numbers + at), load(steps + at)));
    }
};

// Queries [rows, size] to contexts in the same layout; the first sees `seen` tokens, each row after it `more` further.
template <typename Kept>
static void see(const Step& step, const float* queries, int64_t stride, int64_t rows, const Kept& kept, int64_t seen,
                int64_t more, float* scores, float* contexts, int64_t context_stride) {
    const int64_t size = step.width, most = seen + more * (rows - 1), panels = padded(most, PANEL) / PANEL;
    multiply_packed(true, queries, stride, rows, size, kept.keys, panels, size * PANEL, nullptr, scores,
                    panels * PANEL);
    for (int64_t row = 0; row < rows; ++row) {
        float* mine = scores + row * panels * PANEL;
        const int64_t own = seen + more * row;
        kept.weigh_keys(mine, own);
        softmax_row(mine, own, step.number);
        kept.weigh_values(mine, own);
        clear(mine + padded(own, PANEL), panels * PANEL - padded(own, PANEL));
    }
    multiply_packed(true, scores, panels * PANEL, rows, most, kept.values, padded(size, PANEL) / PANEL,
                    kept.room * PANEL, nullptr, contexts, context_stride);
}

// One head of keys and values, and the heads of queries that share it. `before` tokens lie in `kept` already, those of
// `text` are added; contexts are made of the tokens from `first` on.
template <typename Kept>
static void look_back_in(const Step& step, const Slot& in, Slot& out, const Text& text, int64_t group, const Kept& kept,
                         int64_t before, int64_t first, float* scores) {
    const int64_t size = step.width, heads = step.count, share = heads / step.groups;
    const float* rows = in.values + text.start * in.stride;
    float* contexts = out.values + text.start * out.stride;
    for (int64_t token = 0; token < text.count; ++token) {
        const float* key = rows + token * in.stride + (heads + group) * size;
        kept.keep(key, key + step.groups * size, before + token);
    }
    if (text.count - first == 1 && size % PANEL == 0) {  // the heads of one token are rows of one product
        const int64_t column = group * share * size;
        for (int64_t head = 0; head < share; head += QUERIES)
            see(step, rows + first * in.stride + column + head * size, size,
                share - head < QUERIES ? share - head : QUERIES, kept, before + first + 1, 0, scores,
                contexts + first * out.stride + column + head * size, size);
        return;
    }
    for (int64_t head = group * share; head < (group + 1) * share; ++head)
        for (int64_t row = first; row < text.count; row += QUERIES)
            see(step, rows + row * in.stride + head * size, in.stride,
                text.count - row < QUERIES ? text.count - row : QUERIES, kept, before + row + 1, 1, scores,
                contexts + row * out.stride + head * size, out.stride);
}

// Columns of `in`: queries [heads * size], keys and values [groups * size] each. Queries and keys are turned in place.
static void look_back(const Step& step, Workspace& work) {
    Slot &in = work.slots[step.in], &out = work.slots[step.out];
    const int64_t size = step.width;
    if (step.bias != nullptr)
        in_parts(work, work.in_tokens, [&](int64_t begin, int64_t end, int64_t) {
            for (int64_t token = begin; token < end; ++token)
                for (int64_t head = 0; head < step.count + step.groups; ++head)
                    turn(in.values + token * in.stride + head * size, size / 2, work.turns + token * size);
        });
    in.rounded = false;
    // A head of odd size writes into the next one's columns before that does, which only one thread can keep in order.
    const bool apart = work.crew != nullptr && size % PANEL == 0;
    for (int64_t at = 0; at < work.in_group; ++at) {
        const Text& text = work.group[at];
        const Wanted wanted = step.ends ? work.wanted : ALL;
        const int64_t first = wanted == ALL ? 0 : wanted == LAST ? text.count - 1 : text.count;
        const auto groups = [&](int64_t begin, int64_t end, int64_t who) {
            float* scratch = work.scratch + who * work.scratch_size;
            for (int64_t group = begin; group < end; ++group) {
                const int64_t room = work.past == nullptr ? text.count : work.past_room;
                const int64_t all = past_size(room, size, step.choice);
                float* kept = work.past == nullptr ? scratch : work.past[step.place] + group * all;
                float* scores = work.past == nullptr ? scratch + all : scratch;
                const int64_t before = work.past == nullptr ? 0 : work.past_count;
                if (step.choice == OF_BYTES)
                    look_back_in(step, in, out, text, group, KeptBytes(kept, room, size), before, first, scores);
                else
                    look_back_in(step, in, out, text, group, KeptFloats(kept, room, size), before, first, scores);
            }
        };
        if (apart)
            in_parts(work, step.groups, groups);
        else
            groups(0, step.groups, 0);
        if (step.rounds)
            in_parts(work, text.count - first, [&](int64_t begin, int64_t end, int64_t) {
                for (int64_t row = first + begin; row < first + end; ++row)
                    round_slot_row(out, text.start + row, size * step.count);
            });
    }
    out.rounded = step.rounds;
}
